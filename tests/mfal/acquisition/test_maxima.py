"""Samples of the best value: Gumbel quartiles against the exact law, joint maxima against joint sampling."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beliefs import Z_LIMIT, cell, independent, joint_samples, known, smooth
from scipy.optimize import brentq
from scipy.stats import ks_2samp, norm

from mfal.acquisition.maxima import GumbelMaxima, JointMaxima


def sampled(maxima, belief, facts, sign=1.0, seed=0, target=1):
    return np.asarray(jax.jit(lambda: maxima(belief, facts, target, jnp.asarray(sign), jax.random.key(seed)))())


@pytest.mark.parametrize("n", [1, 2, 300])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_gumbel_has_the_quartiles_of_the_exact_maximum(n, sign):
    rng = np.random.default_rng(n)
    mean, sd = rng.normal(size=n), rng.uniform(0.1, 2.0, n)
    belief = independent(mean, [cell(1.0, s, 0.5) for s in sd])
    # With two draws at r = 1/4 and 3/4 the fit is asked for its own quartiles.
    ends = sampled(GumbelMaxima(2), belief, known(n), sign)
    log_law = lambda y: np.sum(norm.logcdf((y + sign * mean) / sd))  # noqa: E731
    exact = [brentq(lambda y, r=r: log_law(y) - np.log(r), -20.0, 20.0, xtol=1e-12) for r in (0.25, 0.75)]
    middle = brentq(lambda y: log_law(y) - np.log(0.5), -20.0, 20.0, xtol=1e-12)
    at = -np.log(-np.log([0.25, 0.5, 0.75]))
    scale = (exact[1] - exact[0]) / (at[2] - at[0])
    np.testing.assert_allclose(ends, middle + scale * (at[[0, 2]] - at[1]), atol=1e-8)
    np.testing.assert_allclose(ends, exact, atol=0.15 * (exact[1] - exact[0]))


def test_gumbel_is_close_to_sampled_maxima_of_independent_candidates():
    rng = np.random.default_rng(1)
    belief = independent(rng.normal(size=200), [cell(1.0, 1.0, 0.5)] * 200)
    best = np.max(-joint_samples(belief, 20_000, 2)[:, :, 1], axis=1)
    fitted = sampled(GumbelMaxima(1000), belief, known(200))
    np.testing.assert_allclose(fitted.mean(), best.mean(), atol=0.1 * best.std())
    np.testing.assert_allclose(fitted.std(), best.std(), rtol=0.15)


def test_joint_maxima_follow_the_law_of_joint_samples():
    for sign in (1.0, -1.0):
        belief = smooth(3)
        best = np.max(-sign * joint_samples(belief, 20_000, 4)[:, :, 1], axis=1)
        assert ks_2samp(sampled(JointMaxima(20_000), belief, known(12), sign), best).pvalue > 1e-3


def test_a_shortlist_of_the_promising_is_enough():
    mean = np.concatenate([np.linspace(-1.0, 1.0, 20), np.full(200, 50.0)])
    belief = independent(mean, [cell(1.0, 1.0, 0.5)] * 220)
    short = sampled(JointMaxima(5000, shortlist=20), belief, known(220))
    best = np.max(-joint_samples(belief, 5000, 5)[:, :20, 1], axis=1)
    assert ks_2samp(short, best).pvalue > 1e-3


@pytest.mark.parametrize("maxima", [GumbelMaxima(64), JointMaxima(64)])
def test_closed_do_not_compete_and_certainty_is_kept(maxima):
    certain = independent([-3.0, 1.0], [cell(1.0, 0.0, 0.0)] * 2)
    np.testing.assert_allclose(sampled(maxima, certain, known(2)), 3.0, atol=1e-6)
    np.testing.assert_allclose(sampled(maxima, certain, known(2, closed=[0])), -1.0, atol=1e-6)


def test_expected_answers_count():
    belief = independent([0.0], [cell(1.0, 1.0, 0.5)])
    pending = belief.expect(jnp.asarray(0), jnp.asarray(1), jnp.asarray(1.0))
    for maxima in GumbelMaxima(4001), JointMaxima(20_000):
        spread = sampled(maxima, pending, known(1)).std()
        # A single normal is not Gumbel, so its fitted spread is only near.
        limit = Z_LIMIT * np.sqrt(0.25 / 20_000) if isinstance(maxima, JointMaxima) else 0.1
        assert abs(spread - np.sqrt(0.5)) < limit
