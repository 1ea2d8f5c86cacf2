"""Max-value entropy: the integral against SciPy and sampling, the whole against NumPy over sampled maxima."""

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
from scipy.stats import norm

from mfal.acquisition.entropy import MaxValueEntropy
from mfal.acquisition.information import information, mean_information
from mfal.acquisition.maxima import GumbelMaxima, JointMaxima

NOISE = np.array([0.3, 0.0, 0.1])


def make(maxima=None, sign=1.0):
    chosen = GumbelMaxima(16) if maxima is None else maxima
    return lambda noise, target: MaxValueEntropy(noise, jnp.asarray(sign), chosen, target)


def nats(gap, share):
    return float(information(np.array([gap]), np.array([share]))[0])


def integrated(gap, share):
    """Return H(u) - H(u | f_T <= f*) with the entropies integrated as they are defined."""
    rho, left = np.sqrt(share), np.sqrt(1.0 - share)

    def density(u):
        return np.exp(norm.logpdf(u) + norm.logcdf((gap - rho * u) / left) - norm.logcdf(gap))

    def term(u):
        log = norm.logpdf(u) + norm.logcdf((gap - rho * u) / left) - norm.logcdf(gap)
        return -np.exp(log) * log

    near = np.clip([gap / rho, rho * gap], -11.0, 11.0)
    remaining = quad(term, -14.0, 12.0, points=[*near, -2.0, 2.0], limit=800, epsabs=1e-13, epsrel=1e-12)[0]
    assert abs(quad(density, -14.0, 12.0, points=[*near], limit=800)[0] - 1.0) < 1e-8
    return 0.5 * np.log(2.0 * np.pi * np.e) - remaining


@pytest.mark.parametrize("gap", [-5.0, -2.0, -0.3, 0.0, 0.7, 1.5, 3.0, 5.0])
@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.8, 0.97, 0.9999])
def test_information_is_the_difference_of_entropies(gap, share):
    np.testing.assert_allclose(nats(gap, share), integrated(gap, share), atol=2e-9, rtol=1e-7)


def test_information_by_sampling():
    """The mean of log p(u | f_T <= f*) / p(u) over answers that belong to samples below f*, plus what p(u) loses."""
    gap, share = 0.4, 0.6
    rho, left = np.sqrt(share), np.sqrt(1.0 - share)
    rng = np.random.default_rng(0)
    truth = rng.normal(size=400_000)
    answer = (rho * truth + left * rng.normal(size=truth.size))[truth <= gap]
    log = norm.logpdf(answer) + norm.logcdf((gap - rho * answer) / left) - norm.logcdf(gap)
    assert_mean_is(log + 0.5 * np.log(2.0 * np.pi * np.e), nats(gap, share))


def test_closed_form_at_the_target():
    gap = np.linspace(-5.0, 6.0, 23)
    closed = gap * norm.pdf(gap) / (2.0 * norm.cdf(gap)) - norm.logcdf(gap)
    ours = information(gap, np.ones(1))
    np.testing.assert_allclose(ours, closed, rtol=1e-9)
    np.testing.assert_allclose(nats(0.0, 1.0), np.log(2.0), rtol=1e-9)


def test_the_table_is_the_integral():
    """At points between its rows, beyond its end and where nothing is shared."""
    rng = np.random.default_rng(0)
    gap, share = rng.uniform(-7.0, 12.0, (400, 3)), np.column_stack([rng.uniform(size=(400, 4)), np.zeros(400)])
    share[:50] = 1.0 - share[:50] ** 8
    each = np.mean(information(gap[:, :, None], share[:, None, :]), axis=1)
    np.testing.assert_allclose(mean_information(jnp.asarray(gap), jnp.asarray(share)), each, rtol=1e-4, atol=0.0)
    far, one = np.linspace(12.0, 30.0, 20)[:, None], np.ones(1)
    beyond = mean_information(jnp.asarray(far), jnp.ones((20, 1)))
    np.testing.assert_allclose(beyond, information(far, one), rtol=1e-2, atol=0.0)


@settings(max_examples=60, deadline=None)
@given(st.floats(-20.0, 20.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_a_better_answer_never_says_less(gap, share, other):
    low, high = sorted([share, other])
    worse, better, full = nats(gap, low), nats(gap, high), nats(gap, 1.0)
    assert 0.0 <= worse <= better + 1e-9 and better <= full + 1e-9


def numpy_gain(belief, best, noise, sign, target):
    own, mean = np.asarray(belief.own), np.asarray(belief.mean)
    gain = np.zeros((best.size, *mean.shape))
    u, w = np.polynomial.hermite_e.hermegauss(200)
    w = w / w.sum()
    for i in range(mean.shape[0]):
        gap = (best + sign * mean[i, target]) / np.sqrt(own[i, target, target])
        for low in range(mean.shape[1]):
            share = own[i, low, target] ** 2 / own[i, target, target] / (own[i, low, low] + noise[low])
            log_weight = norm.logcdf((gap[:, None] - np.sqrt(share) * u) / np.sqrt(1.0 - share))
            tail = np.sum(w * np.exp(log_weight - norm.logcdf(gap)[:, None]) * log_weight, axis=1)
            slope = gap * np.exp(norm.logpdf(gap) - norm.logcdf(gap))
            gain[:, i, low] = 0.5 * share * slope - norm.logcdf(gap) + tail
    return gain


def test_gains_over_exact_joint_maxima():
    noise = np.array([0.3, 0.2, 0.4])
    for sign in (1.0, -1.0):
        belief = smooth(1, n=6)
        ours = worth(make(JointMaxima(4000), sign)(jnp.asarray(noise), 1), belief, known(6)).gain
        best = np.max(-sign * joint_samples(belief, 4000, 2)[:, :, 1], axis=1)
        brute = numpy_gain(belief, best, noise, sign, 1)
        # Both sides rest on 4000 maxima each, so that the standard error is sqrt(2) that of one.
        error = np.sqrt(2.0) * brute.std(axis=0) / np.sqrt(4000.0)
        assert (np.abs(ours - brute.mean(axis=0)) / error).max() < 4.0


def test_perfect_correlation_of_either_sign_is_as_good_as_the_target():
    belief = independent([0.0, 0.0, 0.0], [cell(2.0, 1.0, c) for c in (1.0, -1.0, 0.0)])
    gain = worth(make()(jnp.zeros(2), 1), belief, known(3)).gain
    np.testing.assert_allclose(gain[:2, 0], gain[:2, 1], rtol=1e-9)
    assert gain[2, 0] == 0.0 and gain[0, 1] > 0.1


def test_only_the_target_gives_the_single_fidelity_gain():
    belief = smooth(4)
    both = worth(make()(jnp.zeros(3), 1), belief, known(12))
    alone = posterior(belief.mean[:, 1:2], belief.belief.covariance[:, 1:2, :, 1:2])
    single = worth(make()(jnp.zeros(1), 0), alone, known(12))
    np.testing.assert_allclose(single.gain[:, 0], both.gain[:, 1], rtol=1e-10)
    best = GumbelMaxima(16)(alone, known(12), 0, jnp.asarray(1.0), jax.random.key(0))
    sd = np.sqrt(np.asarray(alone.variance)[:, 0])
    gap = (np.asarray(best) + np.asarray(alone.mean)) / sd[:, None]
    wang = np.mean(gap * norm.pdf(gap) / (2.0 * norm.cdf(gap)) - norm.logcdf(gap), axis=1)
    np.testing.assert_allclose(single.gain[:, 0], wang, rtol=1e-4)


@pytest.mark.parametrize("maxima", [GumbelMaxima(16), JointMaxima(16)])
def test_refers_to_the_target(maxima):
    assert_refers_to_target(make(maxima), smooth(6), known(12, {0: 0.3}), NOISE, 1)


@pytest.mark.parametrize("maxima", [GumbelMaxima(8), JointMaxima(8)])
def test_sound_and_degenerate(maxima):
    assert_sound(worth(make(maxima)(jnp.asarray(NOISE), 1), smooth(7), known(12, {1: 0.0}, [2])))
    assert_survives_degenerate_beliefs(make(maxima))


@pytest.mark.parametrize("maxima", [GumbelMaxima(8), JointMaxima(8)])
def test_side_by_side(maxima):
    assert_runs_side_by_side(make(maxima))
