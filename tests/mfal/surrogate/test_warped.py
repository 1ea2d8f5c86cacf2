"""Transforms against their own inverse and derivative; draws against weighted draws from the prior."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.dataset import empty_dataset, from_rows
from mfal.surrogate.elliptical import elliptical_draw
from mfal.surrogate.pool import Rows
from mfal.surrogate.recursive import log_evidence, recursive_surrogate
from mfal.surrogate.recursive_belief import Ascent
from mfal.surrogate.warp import LOG_TAIL_SD, SKEW_SD, Warp
from mfal.surrogate.warped import rows_learnt_from, warped_draws

N, REFERENCES = 12, 60_000


def warp(skew=(0.4, -0.7), log_tail=(0.2, -0.3)):
    return Warp(jnp.array([0.5, -1.0]), jnp.array([1.0, 20.0]), jnp.array(skew), jnp.array(log_tail))


def test_a_transform_undoes_itself_and_knows_its_slope():
    values = jnp.array([[-3.0, -90.0], [0.0, 0.0], [0.5, -1.0], [2.0, 35.0]])
    np.testing.assert_allclose(warp().from_normal(warp().to_normal(values)), values, rtol=1e-12, atol=1e-12)
    for level in range(2):
        one = warp().level(level)
        slopes = jax.vmap(jax.grad(one.to_normal))(values[:, level])
        np.testing.assert_allclose(jnp.exp(one.log_slope(values[:, level])), slopes, rtol=1e-12)
    straight = warp((0.0, 0.0), (0.0, 0.0))
    np.testing.assert_allclose(straight.to_normal(values), values, rtol=1e-12, atol=1e-12)


def test_only_answers_are_transformed():
    dataset = from_rows(np.array([1, 2]), np.array([0, 1]), np.array([2.0, 30.0]), np.array([0.01, 4.0]), N, 2)
    normal = warp().of_answers(dataset)
    observed = np.asarray(dataset.observed)
    np.testing.assert_array_equal(normal.value[~observed], dataset.value[~observed])
    np.testing.assert_array_equal(normal.noise_variance[~observed], dataset.noise_variance[~observed])
    # Narrow noise is scaled by the slope.
    moved = warp().level(1)
    scattered = moved.to_normal(30.0 + 1e-3 * jnp.array([-1.0, 1.0]))
    assert float(normal.noise_variance[2, 1]) == pytest.approx(4.0 * float((jnp.diff(scattered)[0] / 2e-3) ** 2))


def test_draws_of_a_normal_posterior_have_its_moments():
    """A normal prior times a normal likelihood; the latter is narrow, skew to the axes, and cut off at a bound."""
    centre, sd = jnp.array([1.0, -2.0]), jnp.array([2.0, 0.5])
    direction, answer, noise = jnp.array([1.0, 3.0]), -4.0, 0.3

    def log_likelihood(point):
        return -0.5 * ((direction @ point - answer) / noise) ** 2

    draw = jax.jit(jax.vmap(lambda key: elliptical_draw(log_likelihood, centre, sd, centre, 150, key)))
    draws = np.asarray(draw(jax.random.split(jax.random.key(0), 4000)))
    precision = np.diag(1.0 / np.asarray(sd) ** 2) + np.outer(direction, direction) / noise**2
    covariance = np.linalg.inv(precision)
    mean = covariance @ (np.asarray(centre) / np.asarray(sd) ** 2 + np.asarray(direction) * answer / noise**2)
    spread = np.sqrt(np.diag(covariance))
    assert (np.abs(draws.mean(axis=0) - mean) < 4.5 * spread / np.sqrt(4000)).all()
    error = np.sqrt((covariance**2 + np.outer(spread, spread) ** 2) / 4000)
    assert (np.abs(np.cov(draws.T) - covariance) < 4.5 * error).all()


def test_a_point_without_a_likelihood_is_never_taken():
    bounded = jax.jit(
        jax.vmap(
            lambda key: elliptical_draw(
                lambda point: jnp.where(point[0] > 0.0, 0.0, jnp.nan), jnp.zeros(1), jnp.ones(1), jnp.ones(1), 40, key
            )
        )
    )
    draws = np.asarray(bounded(jax.random.split(jax.random.key(1), 2000)))[:, 0]
    assert (draws > 0.0).all()
    # A half-normal.
    assert draws.mean() == pytest.approx(np.sqrt(2.0 / np.pi), abs=4.5 * np.sqrt((1.0 - 2.0 / np.pi) / 2000))


def skewed():
    """Return a surrogate and the answers of one fidelity whose values are the exponential of normal ones."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(N, 1))
    value = np.exp(0.8 * np.sin(x[:, 0]) + 0.5 * rng.normal(size=N))
    dataset = from_rows(np.arange(N), np.zeros(N, int), value, np.full(N, 1e-4), N, 1)
    return recursive_surrogate(jnp.asarray(x), jnp.ones(1), jnp.ones(1), False), dataset


@pytest.mark.slow
def test_draws_agree_with_weighted_draws_from_the_prior():
    model, dataset = skewed()
    drawn = warped_draws(model, dataset, rows_learnt_from(dataset), 800, jax.random.key(0))
    found = np.column_stack([np.asarray(leaf).reshape(800, -1) for leaf in
                             (drawn.parameters.log_lengthscale, drawn.parameters.log_amplitude,
                              drawn.parameters.log_individual, drawn.warp.skew, drawn.warp.log_tail)])  # fmt: skip
    mean, sd, worth = weighted(model, dataset)
    assert worth > 300.0
    error = np.sqrt(1.0 / 800 + 1.0 / worth)
    assert (np.abs(found.mean(axis=0) - mean) < 4.5 * sd * error).all()
    assert (np.abs(found.std(axis=0) / sd - 1.0) < 4.5 * error).all()
    # Lognormal values: the answers have found the skew.
    assert mean[3] > 0.5 * sd[3] and sd[4] < LOG_TAIL_SD


def weighted(model, dataset):
    """Return posterior mean and sd of hyper-parameters and shape, and the independent draws that they are worth."""
    rows, trend, inputs = model.level_problem(dataset, Ascent.start(N), N)
    centre = np.r_[np.asarray(model.prior.mean.log_lengthscale)[0], model.prior.mean.log_amplitude[0],
                   model.prior.mean.log_individual[0], 0.0, 0.0]  # fmt: skip
    spread = np.r_[np.asarray(model.prior.sd.log_lengthscale)[0], model.prior.sd.log_amplitude[0],
                   model.prior.sd.log_individual[0], SKEW_SD, LOG_TAIL_SD]  # fmt: skip
    points = centre + spread * np.random.default_rng(1).normal(size=(REFERENCES, 5))

    def density(point):
        one = Warp(jnp.ones(()), jnp.ones(()), point[3], point[4])
        slope = jax.vmap(jax.grad(one.to_normal))(rows.value)
        normal = Rows(rows.point, one.to_normal(rows.value), rows.noise_variance * slope**2, rows.used)
        return log_evidence(point[:3], normal, trend, inputs) + jnp.sum(jnp.log(slope))

    value = np.asarray(jax.jit(lambda at: jax.lax.map(density, at, batch_size=1000))(jnp.asarray(points)))
    weight = np.exp(value - value.max())
    weight /= weight.sum()
    mean = weight @ points
    return mean, np.sqrt(weight @ (points - mean) ** 2), 1.0 / np.sum(weight**2)


@pytest.mark.slow
def test_without_answers_draws_follow_the_prior():
    model = recursive_surrogate(
        jnp.asarray(np.random.default_rng(0).normal(size=(N, 1))), jnp.zeros(2), jnp.ones(2), False
    )
    drawn = warped_draws(model, empty_dataset(N, 2), (1, 1), 1500, jax.random.key(2))
    for leaf, sd in ((drawn.warp.skew, SKEW_SD), (drawn.warp.log_tail, LOG_TAIL_SD)):
        assert (np.abs(np.asarray(leaf).mean(axis=0)) < 4.5 * sd / np.sqrt(1500)).all()
        assert np.asarray(leaf).std(axis=0) == pytest.approx(sd, rel=4.5 / np.sqrt(3000))


def test_draws_repeat_themselves_and_differ():
    model, dataset = skewed()
    first, again = (warped_draws(model, dataset, (N,), 4, jax.random.key(3)) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert len(set(np.asarray(first.warp.skew)[:, 0].tolist())) == 4
    assert eqx.tree_equal(first.warp.centre[0], model.prior.typical_value)
