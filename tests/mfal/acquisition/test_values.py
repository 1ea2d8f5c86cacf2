"""Gains in EUR against plain Monte Carlo: a measurement by joint samples, an answer by E[max(R', c)] - max(R, c).

Gains count what an answer changes about measuring its own candidate; the brute force does as well. Level of rejection:
|z| < 4 at 200 000 samples, for each gain.
"""

from functools import partial

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mfal.acquisition.best_value import BestValue, lowest
from mfal.acquisition.improvement_value import ImprovementValue
from mfal.acquisition.value import crossing, marginal_chance
from mfal.acquisition.window_value import WindowValue
from tests.mfal.acquisition.beliefs import (
    Z_LIMIT,
    assert_mean_is,
    assert_refers_to_target,
    assert_sound,
    assert_survives_degenerate_beliefs,
    cell,
    independent,
    joint_samples,
    known,
    posterior,
    smooth,
    worth,
)

V, SAMPLES = 2000.0, 200_000
TARGET = 1


def best(noise, target=TARGET, *, price=300.0, sign=1.0, top=1, samples=4096, wanted=np.inf):
    values = (jnp.asarray(V), jnp.asarray(price), jnp.asarray(noise, dtype=jnp.float64), jnp.asarray(sign))
    return BestValue(*values, jnp.asarray(wanted), target, top, samples=samples)


def window(noise, target=TARGET, *, price=300.0, low=-0.5, high=0.4, wanted=np.inf):
    values = jnp.asarray(V), jnp.asarray(price), jnp.asarray(noise, dtype=jnp.float64)
    return WindowValue(*values, jnp.asarray(low), jnp.asarray(high), jnp.asarray(wanted), target)


def improvement(noise, target=TARGET, *, price=300.0, sign=1.0, incumbent=0.3):
    values = jnp.asarray(V), jnp.asarray(price), jnp.asarray(noise, dtype=jnp.float64)
    return ImprovementValue(*values, jnp.asarray(incumbent), jnp.asarray(sign), target)


MAKERS = {"best": best, "window": window, "improvement": improvement}
NOISES = [[0.0, 0.0], [0.3, 0.0], [0.0, 0.2], [0.2, 0.1]]


def window_payoff(mean, sd, low=-0.5, high=0.4):
    return V * (norm.cdf((high - mean) / sd) - norm.cdf((low - mean) / sd))


def improvement_payoff(mean, sd, lead, sign=1.0):
    gap = lead - sign * mean
    return V * (gap * norm.cdf(gap / sd) + sd * norm.pdf(gap / sd))


def after_an_answer(belief, noise, level, seed):
    """Return (mean, variance) of each candidate's own target value after an answer at `level`, over SAMPLES answers."""
    own, mean = np.asarray(belief.own), np.asarray(belief.mean)
    answer = own[:, level, level] + noise[level]
    slope = own[:, TARGET, level] / answer
    normals = np.random.default_rng(seed).normal(size=(SAMPLES, mean.shape[0]))
    return mean[:, TARGET] + slope * np.sqrt(answer) * normals, own[:, TARGET, TARGET] - slope**2 * answer


def assert_gain_is(payoff, price, mean, variance, before, gain):
    """Compare E[max(R', c)] - max(R, c) with `gain`, for every candidate."""
    changed = np.maximum(payoff(mean, np.sqrt(variance)), price) - np.maximum(before, price)
    assert_mean_is(changed, gain)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("price", [100.0, 300.0, 900.0])
def test_window_gains_are_those_of_brute_force(noise, price):
    belief = smooth(seed=2, n=8, fidelities=2)
    result = worth(window(noise, price=price), belief, known(8))
    variance = np.asarray(belief.own)[:, TARGET, TARGET] + noise[TARGET]
    before = window_payoff(np.asarray(belief.mean)[:, TARGET], np.sqrt(variance))
    np.testing.assert_allclose(result.gain[:, TARGET], before, rtol=1e-9)
    np.testing.assert_allclose(result.probability, before / V, rtol=1e-9)
    outcome = joint_samples(belief, SAMPLES, 5)[:, :, TARGET]
    outcome = outcome + np.sqrt(noise[TARGET]) * np.random.default_rng(6).normal(size=outcome.shape)
    assert_mean_is(V * ((outcome > -0.5) & (outcome < 0.4)), result.gain[:, TARGET])
    mean, left = after_an_answer(belief, noise, 0, 7)
    assert_gain_is(window_payoff, price, mean, left + noise[TARGET], before, result.gain[:, 0])


@settings(max_examples=50, deadline=None)
@given(chance=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=20), hits=st.floats(0.1, 12.0))
def test_the_marginal_chance_is_where_the_best_candidates_promise_enough(chance, hits):
    ranked = np.sort(chance)[::-1]
    enough = np.flatnonzero(np.cumsum(ranked) >= hits)
    expected = ranked[enough[0]] if len(enough) else 0.0
    np.testing.assert_allclose(marginal_chance(jnp.asarray(chance), jnp.asarray(hits)), expected, atol=1e-9)


@pytest.mark.parametrize("wanted", [1.0, 2.0, 50.0])
def test_a_hit_is_worth_no_more_than_what_one_costs_at_the_margin(wanted):
    price, facts = 100.0, {0: 0.0, 3: -2.0}
    belief = smooth(seed=2, n=8, fidelities=2)
    plain = worth(window(NOISES[0], price=price), belief, known(8, facts))
    result = worth(window(NOISES[0], price=price, wanted=wanted + 1.0), belief, known(8, facts))
    ranked = np.sort(plain.probability)[::-1]
    enough = np.flatnonzero(np.cumsum(ranked) >= wanted)
    value = min(V, price / ranked[enough[0]]) if len(enough) else V
    np.testing.assert_allclose(result.probability, plain.probability)
    np.testing.assert_allclose(result.gain[:, TARGET], value * plain.probability, rtol=1e-9)
    capped = eqx.tree_at(lambda w: w.value_of_hit_eur, window(NOISES[0], price=price), jnp.asarray(value))
    np.testing.assert_allclose(result.gain, worth(capped, belief, known(8, facts)).gain, rtol=1e-9, atol=1e-9)


def test_what_is_free_is_still_worth_something():
    belief = smooth(seed=2, n=8, fidelities=2)
    assert np.all(worth(window(NOISES[0], price=0.0), belief, known(8)).gain[:, TARGET] > 0.0)
    assert np.all(worth(window(NOISES[0], price=0.0, wanted=2.0), belief, known(8)).gain[:, TARGET] > 0.0)


def test_once_enough_hits_are_found_nothing_is_worth_anything():
    belief = smooth(seed=2, n=8, fidelities=2)
    assert not worth(window(NOISES[0], wanted=2.0), belief, known(8, {0: 0.0, 3: 0.39})).gain.any()
    assert worth(window(NOISES[0], wanted=2.0), belief, known(8, {0: 0.0, 3: 0.41})).gain.any()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("facts", [{}, {0: 0.1, 3: -0.4}])
def test_improvement_gains_are_those_of_brute_force(noise, sign, facts):
    belief, price = smooth(seed=3, n=8, fidelities=2), 200.0
    result = worth(improvement(noise, price=price, sign=sign), belief, known(8, facts))
    lead = min([sign * 0.3, *(sign * value for value in facts.values())])
    payoff = partial(improvement_payoff, lead=lead, sign=sign)
    open_ = [i for i in range(8) if i not in facts]
    sd = np.sqrt(np.asarray(belief.own)[:, TARGET, TARGET])
    before = payoff(np.asarray(belief.mean)[:, TARGET], sd)
    np.testing.assert_allclose(result.gain[open_, TARGET], before[open_], rtol=1e-9)
    outcome = joint_samples(belief, SAMPLES, 8)[:, :, TARGET]
    assert_mean_is(V * np.maximum(lead - sign * outcome, 0.0)[:, open_], result.gain[open_, TARGET])
    assert_mean_is((sign * outcome < lead)[:, open_] * 1.0, result.probability[open_])
    mean, left = after_an_answer(belief, noise, 0, 9)
    changed = np.maximum(payoff(mean, np.sqrt(left)), price) - np.maximum(before, price)
    assert_mean_is(changed[:, open_], result.gain[open_, 0])
    assert not result.gain[list(facts)].any()


@pytest.mark.parametrize("top", [1, 3, 6, 8, 9, 12])
def test_the_lowest_outcomes_are_those_of_sorted_rows(top):
    """With equal outcomes, with some that are far off, and with fewer than are asked for."""
    outcome = np.random.default_rng(0).integers(0, 6, (200, 9)).astype(float)
    outcome[:, 6:] = 1e9
    rows = np.sort(np.pad(outcome, ((0, 0), (0, 20)), constant_values=1e9), axis=1)
    kth, following = lowest(jnp.asarray(outcome), top)
    np.testing.assert_array_equal(kth, rows[:, top - 1])
    np.testing.assert_array_equal(following, rows[:, top])


@pytest.mark.parametrize("top", [1, 3])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_chance_of_a_hit_is_that_of_brute_force(top, sign):
    """Joint samples of the whole pool. A margin between neighbours is skewed, and taken as normal: within 0.08."""
    belief, noise = smooth(seed=4, n=12, fidelities=2), [0.0, 0.02]
    result = worth(best(noise, top=top, sign=sign), belief, known(12))
    outcome = sign * joint_samples(belief, SAMPLES, 10)[:, :, TARGET]
    outcome = outcome + np.sqrt(noise[TARGET]) * np.random.default_rng(11).normal(size=outcome.shape)
    rank = outcome.argsort(axis=1).argsort(axis=1)
    chance = (rank < top).mean(axis=0)
    np.testing.assert_allclose(result.probability, chance, atol=0.08)
    np.testing.assert_allclose(result.gain[:, TARGET], V * result.probability, rtol=1e-12)


@pytest.mark.parametrize("correlation", [-0.9, 0.4, 0.8, 0.999])
@pytest.mark.parametrize("price", [100.0, 300.0, 900.0])
def test_best_gains_among_known_rivals_are_those_of_brute_force(correlation, price):
    """One uncertain candidate among rivals that are all measured: its margin is exactly normal, and the gain exact."""
    n, mean, noise = 10, 0.15, [0.05, 0.01]
    cells = [cell(1.0, 0.5, correlation)] + [np.zeros((2, 2))] * (n - 1)
    rivals = {i: 0.1 * i for i in range(1, n)}
    belief = independent([mean, *rivals.values()], cells)
    result = worth(best(noise, price=price, top=3, samples=200_000), belief, known(n, rivals))
    payoff = lambda m, sd: V * norm.cdf((0.3 - m) / sd)  # noqa: E731
    before = payoff(mean, np.sqrt(0.25 + noise[1]))
    assert result.gain[0, TARGET] == pytest.approx(before, rel=0.01)
    after, left = after_an_answer(belief, noise, 0, 12)
    changed = np.maximum(payoff(after[:, 0], np.sqrt(left[0] + noise[1])), price) - max(before, price)
    error = Z_LIMIT * changed.std() / np.sqrt(SAMPLES)
    # The samples of the threshold move the margin a little: 1 % of the value of a hit times a thousandth of its chance.
    assert result.gain[0, 0] == pytest.approx(changed.mean(), rel=0.02, abs=error + 0.5)
    assert not result.gain[1:].any()


@pytest.mark.parametrize("together", [-0.5, 0.0, 0.7])
def test_best_gains_of_two_rivals_that_go_together_are_those_of_brute_force(together):
    """The margin of each of two candidates over the other is normal, so the gain is exact up to sampling."""
    noise, price, mean = [0.05, 0.0], 300.0, np.array([[0.0, 0.0], [0.0, 0.4]])
    along = np.array([[1.0, together], [together, 1.0]])
    covariance = np.einsum("ij,lk->iljk", along, cell(1.0, 0.6, 0.8))
    result = worth(best(noise, price=price, samples=200_000), posterior(mean, covariance), known(2))
    margin = np.array([-0.4, 0.4])
    variance = 2.0 * 0.36 * (1.0 - together)
    shared = 0.8 * 0.6 * (1.0 - together)
    resolved = shared**2 / (1.0 + noise[0])
    normals = np.random.default_rng(13).normal(size=(SAMPLES, 2))
    payoff = lambda m, sd: V * norm.cdf(-m / sd)  # noqa: E731
    before = payoff(margin, np.sqrt(variance))
    after = payoff(margin + np.sqrt(resolved) * normals, np.sqrt(variance - resolved))
    changed = np.maximum(after, price) - np.maximum(before, price)
    np.testing.assert_allclose(result.gain[:, TARGET], before, rtol=0.02)
    np.testing.assert_allclose(result.gain[:, 0], changed.mean(axis=0), rtol=0.04, atol=1.0)


def test_a_shift_common_to_a_source_is_not_held_against_its_answers():
    """The level of a source cancels in a ranking: with it in every answer, the gain is as large as without it."""
    belief = smooth(seed=5, n=12, fidelities=2)
    plain = worth(best([0.0, 0.0]), belief, known(12))
    shift = 25.0
    own = belief.own.at[:, 0, 0].add(shift)
    covariance = belief.belief.covariance.at[:, 0, :, 0].add(shift)
    level = jnp.zeros_like(belief.own).at[:, 0, 0].set(shift)
    inner = type(belief.belief)(belief.mean, covariance)
    parts = lambda n: (n.own, n.level_cross, n.level_variance)  # noqa: E731
    narrowing = eqx.tree_at(parts, belief.narrowing, (own, level, jnp.array([shift, 0.0])))
    shifted = type(belief)(inner, narrowing)
    np.testing.assert_allclose(worth(best([0.0, 0.0]), shifted, known(12)).gain, plain.gain, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", MAKERS)
def test_gains_are_sound_and_grow_with_what_an_answer_tells(name):
    make, cells = MAKERS[name], [cell(1.0, 0.5, r) for r in (0.0, 0.3, 0.6, 0.9)]
    result = worth(make([0.0, 0.0]), independent(np.full(4, 0.1), cells), known(4))
    assert_sound(result)
    assert result.gain[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert (np.diff(result.gain[:, 0]) >= -1e-6).all()
    noisy = worth(make([1.0, 0.0]), independent(np.full(4, 0.1), cells), known(4))
    assert (noisy.gain[:, 0] <= result.gain[:, 0] + 1e-6).all()


@pytest.mark.parametrize("name", MAKERS)
def test_gains_are_about_the_target_wherever_it_stands(name):
    belief = smooth(seed=6, n=10, fidelities=3)
    assert_refers_to_target(MAKERS[name], belief, known(10, {2: 0.1}), [0.05, 0.02, 0.01], 2)


@pytest.mark.parametrize("name", MAKERS)
def test_degenerate_beliefs_are_survived(name):
    assert_survives_degenerate_beliefs(MAKERS[name])


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("price", [0.0, 1e-6, 1e9])
def test_extreme_prices_are_survived(name, price):
    result = worth(MAKERS[name]([0.1, 0.1], price=price), smooth(seed=7, n=8, fidelities=2), known(8))
    assert_sound(result)
    if price != 1e-6:
        # Whatever is measured anyway, or never, is not worth asking about.
        assert result.gain[:, 0].max() < 1e-3 * V


def test_a_crossing_is_found_by_bisection():
    edge = crossing(lambda at: 1.0 - at**3, jnp.zeros(3), jnp.array([2.0, 5.0, 100.0]))
    np.testing.assert_allclose(edge, 1.0, rtol=1e-9)
