"""Pathwise samples: the update against exact prior samples, the features against the Matern-5/2, then both together."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pathwise import FREQUENCIES, conditioned_draws, process_draws, spectral_frequencies
from mfal.surrogate.pool import Rows, Trend, condition

N, COUNT = 30, 8000
AMPLITUDE, INDIVIDUAL = 0.8, 0.2
X = jnp.asarray(np.random.default_rng(0).normal(size=(N, 2)))
STORED = (jnp.log(jnp.array([1.2, 0.7])), jnp.log(jnp.asarray(AMPLITUDE)), jnp.log(jnp.asarray(INDIVIDUAL)))
KERNEL = SmoothAndIndividual(X, *STORED)
# Largest standard deviation of the covariance between two points that the features give.
FEATURE_ERROR = AMPLITUDE**2 / np.sqrt(2 * FREQUENCIES)


conditioned, update = eqx.filter_jit(condition), jax.jit(conditioned_draws)
sampled = jax.jit(process_draws, static_argnums=5)


def process(answers, variance=(0.5, 0.2), noise=0.02, capacity=14):
    rng = np.random.default_rng(3)
    point = np.zeros(capacity, np.int32)
    point[:answers] = rng.choice(N, size=answers, replace=False)
    rows = Rows(
        jnp.asarray(point), jnp.asarray(rng.normal(size=capacity)), jnp.full(capacity, noise),
        jnp.arange(capacity) < answers,
    )  # fmt: skip
    basis = jnp.stack([jnp.ones(N), X[:, 0]], axis=1)
    return conditioned(KERNEL, Trend(basis, jnp.array([0.4, -0.2]), jnp.asarray(variance)), rows)


def moments_agree(draws, belief, allowance=0.0):
    """Five standard errors of each mean and covariance; the largest of 930 exceeds them with a probability of 6e-4."""
    draws, covariance = np.asarray(draws), np.asarray(belief.block(jnp.arange(N)))
    variance = np.diag(covariance)
    assert (np.abs(draws.mean(axis=0) - belief.mean) < 5 * np.sqrt(variance / COUNT)).all()
    error = np.sqrt((covariance**2 + np.outer(variance, variance)) / COUNT)
    assert (np.abs(np.cov(draws.T) - covariance) < 5 * error + allowance).all()


@pytest.mark.parametrize("answers", [0, 1, 10])
@pytest.mark.parametrize("variance", [(0.5, 0.2), (0.0, 0.2)])
def test_the_update_is_exact(answers, variance):
    belief, everyone = process(answers, variance), jnp.arange(N)
    factor = jnp.linalg.cholesky(KERNEL.cross(everyone))
    prior = jax.random.normal(jax.random.key(0), (COUNT, N)) @ factor.T
    moments_agree(update(belief, prior, everyone, jax.random.key(1)), belief)


def test_the_update_is_exact_after_appended_answers():
    belief = process(3)
    for point, value, noise in ((1, 0.7, 0.1), (8, -0.4, 0.0)):
        belief = belief.append(*map(jnp.asarray, (point, value, noise, True)))
    prior = jax.random.normal(jax.random.key(0), (COUNT, N)) @ jnp.linalg.cholesky(KERNEL.cross(jnp.arange(N))).T
    moments_agree(update(belief, prior, jnp.arange(N), jax.random.key(1)), belief)


def test_exact_answers_are_in_every_sample():
    belief = process(6, noise=0.0)
    draws = sampled(belief, X, *STORED, 50, jax.random.key(0))
    seen = np.asarray(belief.point[:6])
    # What is left is the nugget: a part 1e-9 of the prior variance.
    assert np.asarray(draws)[:, seen].std(axis=0).max() < 1e-3
    np.testing.assert_allclose(draws.mean(axis=0)[seen], belief.mean[seen], atol=1e-4)


def test_features_have_the_matern_covariance_within_their_stated_error():
    """Sixty sets of features; their mean at each pair within five standard errors of the exact covariance."""

    def covariance(key):
        phase = X @ spectral_frequencies(STORED[0], key).T
        return AMPLITUDE**2 * jnp.mean(jnp.cos(phase[:, None] - phase), axis=2)

    sets = np.asarray(jax.lax.map(covariance, jax.random.split(jax.random.key(0), 60)))
    exact = np.asarray(KERNEL.smooth(X, X))
    assert (np.abs(sets.mean(axis=0) - exact) < 5 * FEATURE_ERROR / np.sqrt(60)).all()
    # The standard deviation of 60 is uncertain by 9 %; the bound is stated for the worst pair.
    assert (sets.std(axis=0) < 1.4 * FEATURE_ERROR).all()
    assert sets.std(axis=0).max() > 0.5 * FEATURE_ERROR


@pytest.mark.parametrize("answers", [0, 10])
def test_samples_have_the_moments_of_the_belief(answers):
    """What the features add to the error is at most four of their standard deviations, less what the data remove."""
    belief = process(answers)
    draws = sampled(belief, X, *STORED, COUNT, jax.random.key(2))
    assert draws.shape == (COUNT, N)
    moments_agree(draws, belief, 4 * FEATURE_ERROR)


def test_samples_differ_between_keys_and_repeat_with_one():
    belief = process(4)
    first, again, other = (sampled(belief, X, *STORED, 50, jax.random.key(k)) for k in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).all()
