"""HitValue where the answer is known: a Gaussian candidate against known rivals, and brute-force nested Monte Carlo.

The gain rests on the moments of the margin and on the answer's contrast to the pool mean. Both are exact, up to
sampling, for one uncertain candidate among many known rivals, and nearly so for a few.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from mfal.acquisition.base import Known
from mfal.acquisition.value import HitValue, threshold
from mfal.surrogate.base import Posterior

N, V, C, SAMPLES = 60, 2000.0, 300.0, 20000
LOW, TARGET = 0, 1


def acquisition(value=V, price=C, noise=(0.0, 0.0), sign=1.0, top=1):
    return HitValue(
        jnp.asarray(value), jnp.asarray(price), jnp.array(noise), jnp.asarray(sign), TARGET, top, samples=SAMPLES
    )


def posterior(mean, cells):
    """Build a posterior with independent candidates; `cells` maps a candidate to its (2, 2) covariance."""
    covariance = np.zeros((N, 2, N, 2))
    for i, cell in cells.items():
        covariance[i, :, i, :] = cell
    twice = jnp.asarray(np.repeat(mean[:, None], 2, 1))
    return Posterior(twice, jnp.asarray(covariance.reshape(2 * N, 2 * N)), jnp.zeros(2), jnp.zeros((2, 2)))


def known(values=None, closed=()):
    measured, value = np.zeros(N, bool), np.zeros(N)
    for i, answer in (values or {}).items():
        measured[i], value[i] = True, answer
    return Known(jnp.asarray(measured), jnp.asarray(value), jnp.asarray(np.isin(np.arange(N), list(closed))))


@eqx.filter_jit
def _worth(chosen, belief, facts, seed):
    return chosen(belief, facts, jax.random.key(seed))


def worth(chosen, belief, facts, seed=0):
    return jax.tree.map(np.asarray, _worth(chosen, belief, facts, jnp.asarray(seed)))


def cell(low_sd, target_sd, correlation):
    shared = correlation * low_sd * target_sd
    return np.array([[low_sd**2, shared], [shared, target_sd**2]])


def rivals(first=0.0):
    """Candidate 0 is uncertain; all others are measured, the best of them at `first`."""
    return {i: first + 0.05 * (i - 1) for i in range(1, N)}


def gain_by_quadrature(mean, margin_sd, resolved):
    """E[max(V p' - c, 0)] - max(V p - c, 0) for a Gaussian margin of which an answer resolves a variance."""
    left, moved = np.sqrt(margin_sd**2 - resolved), np.sqrt(resolved)
    edge = -left * norm.ppf(C / V)
    after, _ = quad(lambda m: (V * norm.cdf(-m / left) - C) * norm.pdf(m, mean, moved), mean - 9 * moved, edge)
    return after - max(V * norm.cdf(-mean / margin_sd) - C, 0.0)


@pytest.mark.parametrize("mean", [-0.2, 0.1, 0.3])
@pytest.mark.parametrize("correlation, noise", [(0.9, 0.0), (0.6, 0.05)])
def test_one_gaussian_candidate_against_a_known_rival(mean, correlation, noise):
    target_sd, low_sd, target_noise = 0.25, 0.4, 0.1
    means = np.r_[mean, list(rivals().values())]
    belief = posterior(means, {0: cell(low_sd, target_sd, correlation)})
    ours = worth(acquisition(noise=(noise**2, target_noise**2)), belief, known(rivals()))
    margin_sd = np.hypot(target_sd, target_noise)
    probability = norm.cdf(-mean / margin_sd)
    assert ours.probability[0] == pytest.approx(probability, abs=0.01)
    assert ours.gain_eur[0, TARGET] == pytest.approx(V * probability, abs=0.01 * V)
    resolved = (correlation * low_sd * target_sd) ** 2 / (low_sd**2 + noise**2)
    # Sampling 20 000 margins leaves under one percent of V; the contrast to the pool mean, 1 / N of the noise.
    assert ours.gain_eur[0, LOW] == pytest.approx(gain_by_quadrature(mean, margin_sd, resolved), abs=0.01 * V)


def brute_force(mean, target_sd, low_sd, correlation, rest, top, candidate, rng):
    """Nested Monte Carlo of the definition, without any normal approximation of the margin."""
    others = np.delete(np.arange(len(mean)), candidate)
    rival = mean[others] + target_sd[others] * rng.normal(size=(20000, len(others)))
    limit = np.sort(np.column_stack([rival, np.broadcast_to(rest, (20000, len(rest)))]), axis=1)[:, top - 1]
    gain_of_one = correlation * target_sd[candidate]
    answers = mean[candidate] + gain_of_one * rng.normal(size=4000)
    left = target_sd[candidate] * np.sqrt(1 - correlation**2)
    order = np.sort(limit)
    # P(candidate beats the limit | answer): the candidate's own spread in the limit's empirical distribution.
    grid = answers[:, None] + left * norm.ppf((np.arange(200) + 0.5) / 200)
    after = 1 - np.searchsorted(order, grid).mean(axis=1) / len(order)
    return np.maximum(V * after - C, 0).mean() - max(V * after.mean() - C, 0), after.mean()


def test_several_uncertain_candidates_against_nested_monte_carlo():
    """Top 3 of 8 uncertain and 52 known candidates; 1 % of V allows for the normal approximation of the margin."""
    rng, top, correlation = np.random.default_rng(2), 3, 0.8
    mean, target_sd = np.linspace(-0.35, 0.45, 8), rng.uniform(0.08, 0.25, 8)
    rest = 0.1 * np.arange(N - 8) - 0.1
    belief = posterior(np.r_[mean, rest], {i: cell(0.3, target_sd[i], correlation) for i in range(8)})
    ours = worth(acquisition(top=top), belief, known({8 + i: v for i, v in enumerate(rest)}))
    theirs = [brute_force(mean, target_sd, 0.3, correlation, rest, top, i, rng) for i in range(8)]
    for i, (gain, probability) in enumerate(theirs):
        assert ours.probability[i] == pytest.approx(probability, abs=0.03), i
        assert ours.gain_eur[i, LOW] == pytest.approx(gain, abs=0.01 * V), i
    # The reference itself tells candidates apart, or nothing was tested.
    assert max(g for g, _ in theirs) > 0.04 * V
    assert min(g for g, _ in theirs) < 0.005 * V


@pytest.mark.parametrize("mean", [-0.2, 0.2])
def test_a_perfect_answer_is_worth_knowing_the_outcome(mean):
    belief = posterior(np.r_[mean, list(rivals().values())], {0: cell(0.25, 0.25, 1.0)})
    ours = worth(acquisition(), belief, known(rivals()))
    probability = norm.cdf(-mean / 0.25)
    theirs = (V - C) * probability - max(V * probability - C, 0.0)
    assert ours.gain_eur[0, LOW] == pytest.approx(theirs, abs=0.015 * V)


def test_an_answer_never_gains_more_than_a_perfect_one_and_never_less_than_nothing():
    belief = posterior(np.r_[0.1, list(rivals().values())], {0: cell(0.25, 0.25, 1.0)})
    gains = []
    for correlation in (0.0, 0.3, 0.6, 0.9, 1.0):
        belief = posterior(np.r_[0.1, list(rivals().values())], {0: cell(0.25, 0.25, correlation)})
        gains.append(float(worth(acquisition(), belief, known(rivals())).gain_eur[0, LOW]))
    assert gains == sorted(gains)
    assert gains[0] == pytest.approx(0.0, abs=0.005 * V)


def test_measured_candidates_compete_with_their_measured_value():
    """The posterior may still say otherwise about them: what counts is the answer in hand."""
    belief = posterior(np.full(N, 5.0), {0: cell(0.25, 0.25, 0.5), 1: cell(0.25, 0.25, 0.5)})
    beaten = worth(acquisition(), belief, known({1: 4.0, **{i: 9.0 for i in range(2, N)}}))
    ahead = worth(acquisition(), belief, known({1: 6.0, **{i: 9.0 for i in range(2, N)}}))
    assert beaten.probability[0] < 0.01
    assert ahead.probability[0] > 0.99


def test_measured_and_closed_candidates_gain_nothing_and_closed_ones_do_not_compete():
    belief = posterior(np.zeros(N), {i: cell(0.25, 0.25, 0.5) for i in range(N)})
    facts = known({1: -9.0}, closed=[2, 3])
    ours = worth(acquisition(top=2), belief, facts)
    for i in (1, 2, 3):
        assert ours.probability[i] == 0.0
        assert (ours.gain_eur[i] == 0.0).all()
    # Two closed candidates with hopelessly good predictions change nothing for the others.
    mean = np.zeros(N)
    mean[2:4] = -50.0
    again = worth(acquisition(top=2), posterior(mean, {i: cell(0.25, 0.25, 0.5) for i in range(N)}), facts)
    np.testing.assert_allclose(again.probability[4:], ours.probability[4:], atol=1e-6)


@pytest.mark.parametrize("value", [C, 0.5 * C])
def test_nothing_pays_where_a_hit_is_worth_no_more_than_a_measurement(value):
    belief = posterior(np.linspace(-0.5, 0.5, N), {i: cell(0.3, 0.25, 0.9) for i in range(N)})
    ours = worth(acquisition(value=value), belief, known())
    assert (ours.gain_eur[:, LOW] <= 1e-9).all()
    assert (ours.gain_eur[:, TARGET] <= C).all()


def test_information_is_worthless_where_measuring_is_free():
    belief = posterior(np.linspace(-0.5, 0.5, N), {i: cell(0.3, 0.25, 0.9) for i in range(N)})
    ours = worth(acquisition(price=0.0), belief, known())
    np.testing.assert_allclose(ours.gain_eur[:, LOW], 0.0, atol=1e-6 * V)
    assert ours.gain_eur[:, TARGET].max() > 0.1 * V


def test_high_values_best_is_the_mirror_image():
    cells = {i: cell(0.3, 0.25, 0.9) for i in range(N)}
    mean = np.linspace(-0.5, 0.5, N)
    lowest = worth(acquisition(top=3), posterior(mean, cells), known())
    highest = worth(acquisition(top=3, sign=-1.0), posterior(-mean, cells), known())
    np.testing.assert_allclose(highest.probability, lowest.probability, atol=0.02)
    assert lowest.probability[0] > lowest.probability[-1] + 0.2
    assert highest.probability[0] > highest.probability[-1] + 0.2


def test_probabilities_add_up_to_the_hits():
    belief = posterior(np.zeros(N), {i: cell(0.3, 0.25, 0.9) for i in range(N)})
    assert worth(acquisition(top=6), belief, known()).probability.sum() == pytest.approx(6.0, rel=0.1)


def test_same_key_same_worth():
    belief = posterior(np.zeros(N), {i: cell(0.3, 0.25, 0.9) for i in range(N)})
    first, again = (worth(acquisition(), belief, known(), seed=4) for _ in range(2))
    assert (first.gain_eur == again.gain_eur).all()


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1, 2, 5, 7, 9]), st.booleans())
def test_threshold_is_the_top_th_lowest_of_the_others(seed, top, ties):
    rng = np.random.default_rng(seed)
    outcome = rng.integers(0, 4, (3, 8)).astype(float) if ties else rng.normal(size=(3, 8))
    ours = np.asarray(threshold(jnp.asarray(outcome), top))
    for sample in range(3):
        for i in range(8):
            others = np.sort(np.delete(outcome[sample], i))
            assert ours[sample, i] == (others[top - 1] if top <= 7 else np.inf)
