"""Prices that depend on the candidate: who is asked, what is committed, what the ledger says."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

from mfal.campaign.build import recorded_rules
from mfal.campaign.history import current_policy, fold
from mfal.campaign.loop import Campaign
from mfal.ledger import EventKind, read_events
from mfal.whatif.begin import begin
from tests import synthetic
from tests.mfal.campaign.worlds import VALUE, covariance, propose, rules, state

HIGH = 1
CHANCES = np.array([0.3, 0.4, 0.5])


def three():
    """Three independent candidates with standard deviation 1 and P(hit) of 0.3, 0.4 and 0.5; LOW says nothing."""
    return state(np.column_stack([np.zeros(3), norm.ppf(CHANCES)]), covariance([np.eye(2)] * 3))


def with_factor(policy, high):
    factor = np.column_stack([np.ones(len(high)), high])
    return dataclasses.replace(policy, price_factor=jnp.asarray(factor))


def test_prices_as_declared_change_nothing():
    policy = rules([1e9, 100.0], capacity=[2, 3])
    declared, expected = propose(policy, three()), propose(with_factor(policy, [1.0] * 3), three())
    assert declared[0] == expected[0]
    np.testing.assert_array_equal(declared[1].gain, expected[1].gain)


def test_the_greatest_gain_per_expected_eur_is_asked_first():
    factor = np.array([1.0, 4.0, 2.0])
    asked, _ = propose(with_factor(rules([1e9, 50.0], capacity=[2, 3]), factor), three())
    assert [i for i, _ in asked] == list(np.argsort(-CHANCES / factor))


def test_what_is_expected_to_cost_more_than_it_brings_is_not_asked():
    asked, _ = propose(with_factor(rules([1e9, 200.0], capacity=[2, 3]), [1.0, 2.1, 2.4]), three())
    assert asked == [(0, HIGH), (2, HIGH)], "0.4 x 1000 < 2.1 x 200"


@pytest.mark.parametrize("seed", range(20))
def test_the_budget_holds_what_is_expected(seed):
    """Also in bulk, where many are chosen at once, and with others in flight."""
    rng, n = np.random.default_rng(seed), 60
    factor, budget = rng.lognormal(sigma=1.0, size=n), float(rng.uniform(100.0, 4000.0))
    mean = np.column_stack([np.zeros(n), norm.ppf(rng.uniform(0.5, 0.9, n))])
    pending = [(int(i), HIGH) for i in rng.choice(n, 3, replace=False)]
    now = state(mean, covariance([np.eye(2)] * n), pending)
    capacity = 50 if seed % 2 else 12
    asked, _ = propose(with_factor(rules([1e9, 100.0], capacity=[2, capacity], budget=budget), factor), now)
    committed = 100.0 * sum(factor[i] for i, _ in [*asked, *pending])
    assert not asked or committed <= budget
    left = budget - committed
    if len(asked) + len(pending) < capacity:  # nobody who pays and can be paid for was left out
        chosen = {i for i, _ in [*asked, *pending]}
        open_ = [i for i in range(n) if i not in chosen and VALUE * norm.cdf(mean[i, HIGH]) > 100.0 * factor[i]]
        assert all(100.0 * factor[i] > left for i in open_)


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    synthetic.register()
    campaign = Campaign.start(synthetic.priced(), folder := tmp_path_factory.mktemp("priced"))
    campaign.run(lambda _: None)
    campaign.close()
    return folder


@pytest.mark.slow
def test_a_campaign_commits_what_it_expects_and_can_be_replayed(directory):
    events = read_events(directory)
    config, built = recorded_rules(events[0].payload)
    progress = fold(built, events, check=True)
    expected = {
        name: price
        for event in events if event.kind == EventKind.PRICES for name, price in event.payload["expected_eur"].items()
    }  # fmt: skip
    assert expected == {name: 1.0 + i % 5 for i, name in enumerate(built.pool.ids) if i % 5}, "the rest is as declared"
    asked = [
        query
        for event in events if event.kind == EventKind.DECISION
        for query in event.payload["queries"] if query["fidelity"] == "middle"
    ]  # fmt: skip
    assert asked
    for query in asked:
        assert query["price_eur"] == pytest.approx(expected.get(query["candidate"], 1.0))
    paid = sum(o.price_eur for o in progress.observations)
    assert float(progress.state.spent_eur) == pytest.approx(paid)
    assert paid <= config.campaign.budget_eur


@pytest.mark.slow
def test_simulated_campaigns_pay_what_is_expected(directory):
    from mfal.whatif.simulate import prepared

    events = read_events(directory)
    _, built = recorded_rules(events[0].payload)
    progress = fold(built, events)
    policy = current_policy(built, progress)
    middle, rows = built.ladder.index("middle"), jnp.arange(5)
    prices = policy.expected_price_eur(rows, jnp.full(5, middle))
    np.testing.assert_allclose(prices, [1.0, 2.0, 3.0, 4.0, 5.0])
    assert prepared(policy, begin(built, progress), 3, True).flights.used.shape[0] == built.policy.batch
