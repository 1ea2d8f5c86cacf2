"""NUTS against posteriors that are known in closed form or by integration on a grid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from mfal.dataset import from_rows
from mfal.surrogate.joint import JointGP, joint_prior
from mfal.surrogate.kernels import smooth_covariance
from mfal.surrogate.sample import predict_mixture, sample_parameters

# numpyro runs chains side by side on one device, which it says each time.
pytestmark = pytest.mark.filterwarnings("ignore:There are not enough devices")


def test_a_normal_posterior_is_recovered():
    """Mean and covariance within five standard errors of 4000 draws, taken as half as informative as independent."""
    rng = np.random.default_rng(0)
    root, centre = np.tril(rng.normal(size=(3, 3))) + 2 * np.eye(3), np.array([1.0, -2.0, 0.5])
    covariance, precision = root @ root.T, jnp.asarray(np.linalg.inv(root @ root.T))

    def potential(x):
        return 0.5 * (x - centre) @ precision @ (x - centre)

    starts = jnp.asarray(rng.normal(0.0, 4.0, (4, 3)))
    sampled = sample_parameters(potential, starts, 1000, 500, jax.random.key(0))
    assert sampled.draws.shape == (4000, 3)
    assert (np.asarray(sampled.r_hat) < 1.02).all() and int(sampled.divergences) == 0
    draws, sd = np.asarray(sampled.draws), np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=0) - centre) < 5 * sd / np.sqrt(2000)).all()
    error = np.sqrt((covariance**2 + np.outer(sd, sd) ** 2) / 2000)
    assert (np.abs(np.cov(draws.T) - covariance) < 5 * error).all()


def test_chains_that_do_not_meet_are_told():
    """Two valleys eight standard deviations apart, one chain in each."""

    def potential(x):
        return -jnp.logaddexp(-0.5 * jnp.sum((x - 20.0) ** 2), -0.5 * jnp.sum((x + 20.0) ** 2))

    sampled = sample_parameters(potential, jnp.array([[20.0], [-20.0]]), 100, 100, jax.random.key(0))
    assert float(sampled.r_hat[0]) > 1.5


def test_the_posterior_of_a_small_process_agrees_with_a_grid():
    """Length scale and amplitude of 12 answers; means within five standard errors, deviations within a tenth."""
    rng = np.random.default_rng(1)
    x = jnp.asarray(rng.uniform(-2.0, 2.0, (12, 1)))
    y = jnp.asarray(np.sin(2.0 * np.asarray(x[:, 0])) + 0.1 * rng.normal(size=12))

    def potential(stored):
        covariance = smooth_covariance(x, x, stored[:1], stored[1]) + 0.01 * jnp.eye(12)
        factor = jnp.linalg.cholesky(covariance)
        whitened = jax.scipy.linalg.solve_triangular(factor, y, lower=True)
        return 0.5 * jnp.sum(whitened**2) + jnp.sum(jnp.log(jnp.diagonal(factor))) + 0.5 * jnp.sum(stored**2)

    axis = jnp.linspace(-3.5, 3.5, 141)
    grid = jnp.stack([part.ravel() for part in jnp.meshgrid(axis, axis, indexing="ij")], axis=1)
    value = np.asarray(jax.jit(lambda points: jax.lax.map(potential, points, batch_size=500))(grid))
    weight = np.exp(-(value - value.min()))
    weight /= weight.sum()
    mean = weight @ np.asarray(grid)
    sd = np.sqrt(weight @ (np.asarray(grid) - mean) ** 2)
    sampled = sample_parameters(potential, jnp.asarray(rng.normal(size=(2, 2))), 1500, 400, jax.random.key(2))
    assert (np.asarray(sampled.r_hat) < 1.02).all() and int(sampled.divergences) <= 3
    draws = np.asarray(sampled.draws)
    assert (np.abs(draws.mean(axis=0) - mean) < 5 * sd / np.sqrt(1000)).all()
    np.testing.assert_allclose(draws.std(axis=0), sd, rtol=0.1)


@pytest.fixture(scope="module")
def small():
    rng = np.random.default_rng(3)
    x, low = rng.normal(size=(10, 1)), rng.normal(size=10)
    values = np.r_[low, 0.9 * low[:6] + 0.05 * rng.normal(size=6)]
    candidate, fidelity = np.r_[np.arange(10), np.arange(6)], np.r_[np.zeros(10, int), np.ones(6, int)]
    data = from_rows(candidate, fidelity, values, np.full(16, 1e-3), 10, 2)
    prior = joint_prior(jnp.zeros(2), jnp.ones(2), 1, "autoregressive")
    centre, rebuild = ravel_pytree(prior.mean)
    rebuilt = lambda point: JointGP(jnp.asarray(x), prior, rebuild(point), 16)  # noqa: E731
    return data, centre, rebuilt, jax.jit(lambda draws: predict_mixture(rebuilt, draws, data))


def test_a_mixture_of_equals_is_that_belief_and_of_two_obeys_total_variance(small):
    data, centre, rebuilt, mixture = small
    condition = jax.jit(lambda point: rebuilt(point).condition(data))
    first, second = condition(centre), condition(centre + 0.5)
    own, other = (np.diagonal(belief.own, axis1=1, axis2=2) for belief in (first, second))
    mean, variance = mixture(jnp.stack([centre, centre]))
    np.testing.assert_allclose(mean, first.mean, atol=1e-12)
    np.testing.assert_allclose(variance, own, atol=1e-12)
    mean, variance = mixture(jnp.stack([centre, centre + 0.5]))
    np.testing.assert_allclose(mean, 0.5 * (first.mean + second.mean), atol=1e-12)
    apart = 0.25 * np.asarray(first.mean - second.mean) ** 2
    np.testing.assert_allclose(variance, 0.5 * (own + other) + apart, atol=1e-12)


@pytest.mark.slow
def test_a_surrogate_can_be_sampled_and_its_slope_is_found(small):
    data, centre, rebuilt, mixture = small

    def potential(point):
        surrogate = rebuilt(point)
        return surrogate.loss(surrogate.parameters, data)

    starts = centre + 0.5 * jax.random.normal(jax.random.key(5), (2, centre.shape[0]))
    sampled = sample_parameters(potential, starts, 100, 150, jax.random.key(1))
    slope = np.asarray(jax.vmap(lambda point: rebuilt(point).parameters.slope[0])(sampled.draws))
    assert 0.7 < slope.mean() < 1.1 and 0.005 < slope.std() < 0.3
    mean, variance = mixture(sampled.draws[::100])
    assert np.isfinite(mean).all() and (np.asarray(variance) > 0.0).all()
