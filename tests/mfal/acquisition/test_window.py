"""Target windows: the integral against SciPy, information against sampled indicators, binary entropy at the target."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beliefs import (
    assert_mean_is,
    assert_refers_to_target,
    assert_runs_side_by_side,
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
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import xlogy
from scipy.stats import norm

from mfal.acquisition import window
from mfal.acquisition.window import WindowInformation, information

NOISE = np.array([0.3, 0.0, 0.1])


def make(low=-0.3, high=0.6):
    return lambda noise, target: WindowInformation(jnp.asarray(low), jnp.asarray(high), noise, target)


def binary_entropy(p):
    return -xlogy(p, p) - xlogy(1.0 - p, 1.0 - p)


def nats(lower, upper, share):
    return float(information(jnp.asarray(lower), jnp.asarray(upper), jnp.array([share]))[0])


def integrated(lower, upper, share):
    rho, left = np.sqrt(share), np.sqrt(1.0 - share)

    def term(u):
        p = norm.cdf((upper - rho * u) / left) - norm.cdf((lower - rho * u) / left)
        return norm.pdf(u) * binary_entropy(np.clip(p, 0.0, 1.0))

    near = np.clip([edge / rho + step for edge in (lower, upper) for step in (-2 * left, 0.0, 2 * left)], -8.4, 8.4)
    remaining = quad(term, -8.5, 8.5, points=sorted(near), limit=1000, epsabs=1e-13, epsrel=1e-12)[0]
    return binary_entropy(norm.cdf(upper) - norm.cdf(lower)) - remaining


EDGES = [(-1.0, 1.0), (0.2, 0.4), (-3.0, 0.1), (1.5, 4.0), (-30.0, 0.5), (-0.01, 0.01), (2.0, 2.5), (-5.0, -2.0)]


@pytest.mark.parametrize(("lower", "upper"), EDGES)
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.97, 0.9999])
def test_information_is_the_entropy_removed(lower, upper, share):
    np.testing.assert_allclose(nats(lower, upper, share), integrated(lower, upper, share), atol=1e-8, rtol=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.floats(-8.0, 8.0), st.floats(0.0, 8.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_better_answer_never_says_less(lower, width, share, other):
    low, high = sorted([share, other])
    worse, better, full = (nats(lower, lower + width, part) for part in (low, high, 1.0))
    assert 0.0 <= worse <= better + 1e-8 and better <= full + 1e-8 <= np.log(2.0) + 2e-8


def test_at_a_target_without_noise_it_is_the_binary_entropy():
    belief = smooth(1)
    for low, high in ((-0.3, 0.6), (-np.inf, 0.2), (0.1, np.inf), (-np.inf, np.inf)):
        result = worth(make(low, high)(jnp.zeros(3), 1), belief, known(12))
        mean, sd = np.asarray(belief.mean)[:, 1], np.sqrt(np.asarray(belief.variance)[:, 1])
        p = norm.cdf((high - mean) / sd) - norm.cdf((low - mean) / sd)
        np.testing.assert_allclose(result.probability, p, atol=1e-12)
        np.testing.assert_allclose(result.gain[:, 1], binary_entropy(p), atol=1e-9)


def test_gains_and_probability_agree_with_joint_samples():
    """E[log p(1 | y) / p(1)] over sampled pairs is the mutual information; p(1 | y) follows from conditioning."""
    belief, low, high, target = smooth(2, n=6), -0.3, 0.6, 1
    result = worth(make(low, high)(jnp.asarray(NOISE), target), belief, known(6))
    draws = joint_samples(belief, 200_000, 3)
    answers = draws + np.sqrt(NOISE) * np.random.default_rng(4).normal(size=draws.shape)
    hit = (draws[:, :, target] >= low) & (draws[:, :, target] <= high)
    assert_mean_is(hit.astype(float), result.probability)
    own, mean = np.asarray(belief.own), np.asarray(belief.mean)
    for source in (0, 2):
        slope = own[:, source, target] / (own[:, source, source] + NOISE[source])
        centre = mean[:, target] + slope * (answers[:, :, source] - mean[:, source])
        sd = np.sqrt(own[:, target, target] - slope * own[:, source, target])
        p = norm.cdf((high - centre) / sd) - norm.cdf((low - centre) / sd)
        now = norm.cdf((high - mean[:, target]) / np.sqrt(own[:, target, target]))
        now = now - norm.cdf((low - mean[:, target]) / np.sqrt(own[:, target, target]))
        ratio = np.where(hit, np.log(np.maximum(p, 1e-300) / now), np.log(np.maximum(1.0 - p, 1e-300) / (1.0 - now)))
        assert_mean_is(ratio, result.gain[:, source])


def test_far_tails_keep_their_digits():
    belief = independent([-8.0, 8.0], [cell(1.0, 1.0, 0.9)] * 2)
    probability = worth(make(-1.0, 1.0)(jnp.zeros(2), 1), belief, known(2)).probability
    np.testing.assert_allclose(probability, norm.sf(7.0) - norm.sf(9.0), rtol=1e-10)


def test_perfect_correlation_of_either_sign_is_as_good_as_the_target():
    belief = independent([0.0, 0.0, 0.0], [cell(2.0, 1.0, c) for c in (1.0, -1.0, 0.0)])
    gain = worth(make()(jnp.zeros(2), 1), belief, known(3)).gain
    np.testing.assert_allclose(gain[:2, 0], gain[:2, 1], rtol=1e-7)
    assert gain[2, 0] == 0.0 and gain[0, 1] > 0.1


def test_only_the_target_gives_the_single_fidelity_gain():
    belief = smooth(4)
    both = worth(make()(jnp.asarray([0.3, 0.2, 0.1]), 1), belief, known(12))
    alone = posterior(belief.mean[:, 1:2], belief.belief.covariance[:, 1:2, :, 1:2])
    single = worth(make()(jnp.asarray([0.2]), 0), alone, known(12))
    np.testing.assert_allclose(single.gain[:, 0], both.gain[:, 1], rtol=1e-12)


def test_certain_candidates_are_in_or_out():
    belief = independent([0.0, 2.0], [cell(1.0, 0.0, 0.0)] * 2)
    result = worth(make()(jnp.zeros(2), 1), belief, known(2))
    np.testing.assert_array_equal(result.probability, [1.0, 0.0])
    assert not result.gain.any()


def test_pieces_of_the_pool_give_the_same_gains(monkeypatch):
    belief, facts = smooth(5, n=30), known(30)
    gains = lambda: jax.jit(lambda: make()(jnp.asarray(NOISE), 1)(belief, facts, jax.random.key(0)).gain)()  # noqa: E731
    whole = gains()
    monkeypatch.setattr(window, "_BATCH", 7 * 3 * 32)
    np.testing.assert_allclose(gains(), whole, rtol=1e-12)


def test_refers_to_the_target():
    assert_refers_to_target(make(), smooth(6), known(12, {0: 0.3}), NOISE, 1)


def test_sound_and_degenerate():
    assert_sound(worth(make()(jnp.asarray(NOISE), 1), smooth(7), known(12, {1: 0.0}, [2])))
    for low, high in ((-0.3, 0.6), (-np.inf, 0.0), (0.0, np.inf), (-np.inf, np.inf)):
        assert_survives_degenerate_beliefs(make(low, high))


def test_side_by_side():
    assert_runs_side_by_side(make())
