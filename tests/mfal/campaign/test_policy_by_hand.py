"""The policy where decisions can be worked out by hand: worth, stopping, pending answers, waiting, enabling, bulk."""

import equinox as eqx
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from mfal.campaign.policy import Outcome
from mfal.dataset import FAILED
from tests.mfal.campaign.worlds import VALUE, covariance, propose, rules, state

LOW, HIGH = 0, 1
# Worth of one measurement when P(hit) = 0.2, 0.4.
CHANCES = np.array([0.2, 0.4])
MEAN = norm.ppf(CHANCES)


def cell(correlation, low_sd=1.0):
    return np.array([[low_sd**2, correlation * low_sd], [correlation * low_sd, 1.0]])


def two(correlation):
    """Two independent candidates with standard deviation 1 and P(hit) of 0.2 and 0.4."""
    return state(np.column_stack([np.zeros(2), MEAN]), covariance([cell(correlation)] * 2))


def information(mean, correlation, price):
    """Gain of a cheap answer by quadrature: E[max(V p' - c, 0)] - max(V p - c, 0)."""
    left = np.sqrt(1.0 - correlation**2)
    surplus = lambda u: max(VALUE * norm.cdf((mean + correlation * u) / left) - price, 0.0)  # noqa: E731
    edge = (left * norm.ppf(price / VALUE) - mean) / correlation
    after = quad(lambda u: surplus(u) * norm.pdf(u), edge, 12.0, epsabs=1e-10, limit=200)[0]
    return after - max(VALUE * norm.cdf(mean) - price, 0.0)


@pytest.mark.parametrize("price", [150.0, 250.0, 450.0])
def test_the_gain_of_a_measurement_is_what_a_hit_is_worth_times_its_chance(price):
    asked, proposal = propose(rules([1e9, price]), two(0.0))
    paying = [(i, HIGH) for i in (1, 0) if VALUE * CHANCES[i] > price]
    assert asked == paying, "the likelier one first, and only those that pay"
    np.testing.assert_allclose(proposal.gain[: len(asked)], [VALUE * CHANCES[i] for i, _ in asked], rtol=1e-9)
    np.testing.assert_allclose(proposal.probability[: len(asked)], [CHANCES[i] for i, _ in asked], rtol=1e-9)
    assert Outcome(int(proposal.outcome)) == (Outcome.QUERIES if paying else Outcome.NOTHING_PAYS)


@pytest.mark.parametrize("correlation", [0.5, 0.9, 0.99])
def test_a_cheap_answer_is_worth_what_it_changes_about_measuring(correlation):
    gains = np.array([information(mean, correlation, 300.0) for mean in MEAN])
    just_paying, too_dear = float(gains.min()) * 0.999, float(gains.max()) * 1.001
    asked, proposal = propose(rules([just_paying, 300.0]), two(correlation))
    assert set(asked) == {(0, LOW), (1, LOW)}
    np.testing.assert_allclose(proposal.gain[:2], gains[[i for i, _ in asked]], rtol=1e-5)
    assert LOW not in {fidelity for _, fidelity in propose(rules([too_dear, 300.0]), two(correlation))[0]}


def test_measuring_stops_just_where_it_no_longer_pays():
    worth = VALUE * CHANCES[1]
    assert propose(rules([1e9, worth * (1.0 - 1e-9)]), two(0.0))[0] == [(1, HIGH)]
    asked, proposal = propose(rules([1e9, worth * (1.0 + 1e-9)]), two(0.0))
    assert (asked, Outcome(int(proposal.outcome))) == ([], Outcome.NOTHING_PAYS)


@pytest.mark.parametrize(
    "budget, outcome", [(149.9, Outcome.BUDGET_SPENT), (150.0, Outcome.QUERIES), (299.9, Outcome.QUERIES)]
)
def test_the_budget_is_never_overdrawn(budget, outcome):
    asked, proposal = propose(rules([1e9, 150.0], budget=budget), two(0.0))
    assert len(asked) == int(budget // 150.0)
    assert Outcome(int(proposal.outcome)) == outcome


def test_capacity_limits_what_is_in_flight():
    assert propose(rules([1e9, 150.0], capacity=[1, 1]), two(0.0))[0] == [(1, HIGH)]
    busy = state(np.column_stack([np.zeros(2), MEAN]), covariance([cell(0.0)] * 2), pending=[(1, HIGH)])
    asked, proposal = propose(rules([1e9, 150.0], capacity=[1, 1]), busy)
    assert (asked, Outcome(int(proposal.outcome))) == ([], Outcome.WAITING)


def test_an_answer_that_will_be_known_anyway_is_not_asked_for():
    """Two candidates that are one and the same at the cheap fidelity and at the target: one cheap answer does."""
    full = np.tile(cell(0.9)[None, :, None, :], (2, 1, 2, 1))
    twins, mean = full + 1e-12 * covariance([np.eye(2)] * 2), np.array([[0.0, -0.5]] * 2)
    gain = information(-0.5, 0.9, 300.0)
    chosen = rules([0.5 * gain, 300.0])
    assert len(propose(chosen, state(mean, covariance([cell(0.9)] * 2)))[0]) == 2, "independent: both"
    assert propose(chosen, state(mean, twins))[0] == [(0, LOW)], "twins: one"
    asked, proposal = propose(chosen, state(mean, twins, pending=[(0, LOW)]))
    assert (asked, Outcome(int(proposal.outcome))) == ([], Outcome.WAITING)


REQUIRES = np.array([[False, False], [True, False]])


@pytest.mark.parametrize("which", ["requires", "follows"])
def test_a_query_that_another_waits_for_inherits_its_surplus(which):
    """The cheap answer says nothing, but the measurement of candidate 1 (EUR 400) needs it first."""
    for price, expected in [(1.0, {(1, LOW)}), (99.0, {(1, LOW)}), (101.0, set())]:
        asked, proposal = propose(rules([price, 300.0], **{which: REQUIRES}), two(0.0))
        assert set(asked) == expected
        np.testing.assert_allclose(proposal.gain[: len(asked)], 100.0, rtol=1e-9)


def test_the_surplus_goes_down_a_whole_chain():
    """Three fidelities, each needing the one before; only the last tells anything."""
    chain = np.eye(3, k=-1, dtype=bool)
    full = covariance([np.diag([1.0, 1.0, 1.0])] * 2)
    mean = np.column_stack([np.zeros((2, 2)), MEAN])
    asked, proposal = propose(rules([10.0, 20.0, 300.0], requires=chain), state(mean, full))
    assert asked == [(1, 0)]
    np.testing.assert_allclose(proposal.gain[0], 400.0 - 300.0 - 20.0, rtol=1e-9)
    assert propose(rules([10.0, 95.0, 300.0], requires=chain), state(mean, full))[0] == []


def test_a_failed_source_holds_nothing_up_unless_it_is_required():
    now = two(0.0)
    broken = eqx.tree_at(lambda s: s.failures, now, now.failures.at[LOW].set(3))
    assert propose(rules([1.0, 300.0], follows=REQUIRES), broken)[0] == [(1, HIGH)]
    asked, proposal = propose(rules([1.0, 300.0], requires=REQUIRES), broken)
    assert (asked, Outcome(int(proposal.outcome))) == ([], Outcome.NOTHING_LEFT)


def test_a_failed_prerequisite_of_what_is_followed_holds_nothing_up():
    """The measurement follows the middle, which requires the first, which failed for candidate 1: it is measured."""
    requires = np.array([[False] * 3, [True, False, False], [False] * 3])
    follows = np.array([[False] * 3, [False] * 3, [False, True, False]])
    now = state(np.column_stack([np.zeros((2, 2)), MEAN]), covariance([np.eye(3)] * 2))
    chosen = rules([1.0, 1.0, 300.0], requires=requires, follows=follows)
    assert propose(chosen, now)[0] == [(1, 0)]
    failed = eqx.tree_at(lambda s: s.dataset.status, now, now.dataset.status.at[1, 0].set(FAILED))
    assert propose(chosen, failed)[0] == [(1, 2)]


def test_what_cannot_be_paid_any_more_is_not_followed():
    assert propose(rules([1.0, 300.0], follows=REQUIRES, budget=300.5), two(0.0))[0] == [(1, HIGH)]
    assert propose(rules([1.0, 300.0], follows=REQUIRES, budget=301.0), two(0.0))[0] == [(1, LOW)]


def test_waiting_is_paid_for_unless_one_waits_anyway():
    """Candidate 1 is worth EUR 400, its measurement EUR 300 and ten hours; candidate 0 EUR 200."""
    for waiting, expected in [(0.0, [(1, HIGH)]), (9.9, [(1, HIGH)]), (10.1, [])]:
        chosen = rules([1e9, 300.0], waiting=waiting, latency=[0.0, 10.0])
        assert propose(chosen, two(0.0))[0] == expected
    three = state(np.column_stack([np.zeros(3), [*MEAN, MEAN[1]]]), covariance([cell(0.0)] * 3), pending=[(2, HIGH)])
    assert propose(rules([1e9, 300.0], waiting=10.1, latency=[0.0, 10.0]), three)[0] == [(1, HIGH)]


def test_the_source_that_pays_and_costs_least_is_asked_first():
    """Three sources of the same answer: the middle one in price is never asked."""
    block = np.array([[1.0, 0.99, 0.9], [0.99, 1.0, 0.9], [0.9, 0.9, 1.0]])
    now = state(np.column_stack([np.zeros((2, 2)), MEAN]), covariance([block] * 2))
    assert {fidelity for _, fidelity in propose(rules([1.0, 5.0, 300.0]), now)[0]} == {0}
    assert {fidelity for _, fidelity in propose(rules([5.0, 1.0, 300.0]), now)[0]} == {1}


def test_bulk_queries_are_asked_at_once_best_first_within_budget():
    size = 40
    mean = np.column_stack([np.zeros(size), np.linspace(-1.0, 0.0, size)])
    now = state(mean, covariance([cell(0.9)] * size))
    asked, proposal = propose(rules([0.5, 300.0], capacity=[size, 2]), now)
    assert [i for i, fidelity in asked if fidelity == LOW] == [i for i, _ in asked][: len(asked)]
    assert {fidelity for _, fidelity in asked} == {LOW} and len(asked) == size
    gains = proposal.gain[:size]
    assert (np.diff(gains) <= 1e-9).all()
    np.testing.assert_allclose(gains, [information(mean[i, 1], 0.9, 300.0) for i, _ in asked], rtol=1e-4)
    few, _ = propose(rules([0.5, 300.0], capacity=[size, 2], budget=306.0), now)
    assert few == asked[:12], "what is left after the measurement that it is for"
    busy = state(mean, covariance([cell(0.9)] * size), pending=[(i, LOW) for i in range(10)])
    assert {i for i, _ in propose(rules([0.5, 300.0], capacity=[35, 2]), busy)[0]} <= set(range(10, size))
    assert len(propose(rules([0.5, 300.0], capacity=[35, 2]), busy)[0]) == 25
