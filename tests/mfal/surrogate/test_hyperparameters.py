"""Draws of hyper-parameters against sums over draws from the prior, weighted by the evidence."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from mfal.dataset import empty_dataset, from_rows
from mfal.surrogate.hyperparameters import _problems, sampled_surrogates, with_parameters, with_slopes_drawn
from mfal.surrogate.joint import JointGP, joint_prior
from mfal.surrogate.recursive import RecursiveGP, recursive_surrogate
from tests.mfal.surrogate.recursive_cases import nested, surrogate, tables

# numpyro runs chains side by side on one device, which it says each time.
# Sampling compiles for minutes.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:There are not enough devices")]

COUNT, REFERENCES = 300, 60_000
# Thinned draws count as half as many independent ones.
EFFECTIVE = COUNT / 2


def problem():
    """Return descriptors of eight candidates and their answers, all at the first fidelity, five at the second."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(8, 1))
    low = np.sin(2.0 * x[:, 0]) + 0.1 * rng.normal(size=8)
    high = 0.9 * low[:5] + 0.1 * rng.normal(size=5)
    candidate, fidelity = np.r_[np.arange(8), np.arange(5)], np.r_[np.zeros(8, int), np.ones(5, int)]
    return jnp.asarray(x), from_rows(candidate, fidelity, np.r_[low, high], np.full(13, 0.02), 8, 2)


def joint():
    x, _ = problem()
    prior = joint_prior(jnp.zeros(2), jnp.ones(2), 1, "autoregressive")
    return JointGP(x, prior, prior.mean, 32)


def recursive():
    return recursive_surrogate(problem()[0], jnp.zeros(2), jnp.ones(2), False)


def weighted(loss, prior):
    """Return mean and sd of the posterior and the independent draws from the prior that they are worth."""
    centre, spread = (ravel_pytree(part)[0] for part in prior)
    normals = jax.random.normal(jax.random.key(9), (REFERENCES, centre.shape[0]))
    points = centre + spread * normals
    value = np.asarray(jax.jit(lambda points: jax.lax.map(loss, points, batch_size=1000))(points))
    # The loss holds the prior, from which the points come.
    log_weight = -(value - 0.5 * np.sum(np.asarray(normals) ** 2, axis=1))
    weight = np.exp(log_weight - log_weight.max())
    weight /= weight.sum()
    mean = weight @ np.asarray(points)
    return mean, np.sqrt(weight @ (np.asarray(points) - mean) ** 2), 1.0 / np.sum(weight**2)


def agree(draws, mean, sd, worth=np.inf):
    """Require mean and sd within 4.5 standard errors, those of the reference included; tails may be half as long."""
    error = np.sqrt(1.0 / EFFECTIVE + 1.0 / worth)
    assert (np.abs(draws.mean(axis=0) - mean) < 4.5 * sd * error).all()
    assert (np.abs(draws.std(axis=0) / sd - 1.0) < 4.5 * error).all()


def vectors(parameters):
    return np.asarray(jax.vmap(lambda one: ravel_pytree(one)[0])(parameters))


def level_of(parameters, level):
    return jax.tree.map(lambda leaf: leaf[..., level, :] if leaf.ndim > 2 else leaf[:, level], parameters)


def test_draws_of_the_joint_process_agree_with_weighted_draws_from_the_prior():
    model, data = joint(), problem()[1]
    sampled = sampled_surrogates(model, data, COUNT, jax.random.key(0))
    rebuild = ravel_pytree(model.parameters)[1]
    mean, sd, worth = weighted(lambda point: model.loss(rebuild(point), data), (model.prior.mean, model.prior.sd))
    assert worth > 500.0 and float(sampled.r_hat) < 1.03 and int(sampled.divergences) <= 3
    draws = vectors(sampled.parameters)
    assert draws.shape == (COUNT, 7)
    agree(draws, mean, sd, worth)
    # The answers have said something that the comparison would miss in draws from the prior.
    assert (sd / ravel_pytree(model.prior.sd)[0]).min() < 0.5


def test_draws_of_every_level_agree_with_weighted_draws_from_the_prior():
    model, data = recursive(), problem()[1]
    sampled = sampled_surrogates(model, data, COUNT, jax.random.key(1))
    assert float(sampled.r_hat) < 1.03 and int(sampled.divergences) <= 3
    assert sampled.parameters.log_lengthscale.shape == (COUNT, 2, 1)
    for level, (rows, trend, inputs) in enumerate(_problems(model, data, (8, 5))):
        prior = [jax.tree.map(lambda leaf, at=level: leaf[at], part) for part in (model.prior.mean, model.prior.sd)]
        given = (level, rows, trend, inputs)
        mean, sd, worth = weighted(lambda vector, given=given: model.loss(vector, *given), prior)
        assert worth > 500.0
        agree(vectors(level_of(sampled.parameters, level)), mean, sd, worth)
    amplitude = np.asarray(sampled.parameters.log_amplitude)
    assert abs(np.corrcoef(amplitude.T)[0, 1]) < 4.5 / np.sqrt(EFFECTIVE), "levels are drawn independently"


@pytest.mark.parametrize("surrogate", [joint, recursive])
def test_without_answers_draws_follow_the_prior(surrogate):
    model = surrogate()
    # Where the chains start does not matter.
    model = with_parameters(model, jax.tree.map(lambda leaf: leaf + 0.5, model.parameters))
    sampled = sampled_surrogates(model, empty_dataset(8, 2), COUNT, jax.random.key(2))
    agree(vectors(sampled.parameters), ravel_pytree(model.prior.mean)[0], ravel_pytree(model.prior.sd)[0])


def test_slopes_are_drawn_as_the_answers_leave_them():
    """Mean and covariance of the two slopes of the third fidelity, and slopes that are known after."""
    model, data = surrogate(3), tables(*nested(noise=0.01))
    process = eqx.filter_jit(RecursiveGP.condition)(model, data).levels[2]
    draw = eqx.filter_jit(jax.vmap(lambda key: with_slopes_drawn(model, data, key).prior))
    drawn = draw(jax.random.split(jax.random.key(0), 4000))
    assert not np.asarray(drawn.slope_sd).any() and not np.triu(np.asarray(drawn.slope_mean)).any()
    slopes, covariance = np.asarray(drawn.slope_mean)[:, 2, :2], np.asarray(process.coefficient_covariance)[1:, 1:]
    sd = np.sqrt(np.diag(covariance))
    assert (np.abs(slopes.mean(axis=0) - process.coefficient_mean[1:]) < 4.5 * sd / np.sqrt(4000)).all()
    error = np.sqrt((covariance**2 + np.outer(sd, sd) ** 2) / 4000)
    assert (np.abs(np.cov(slopes.T) - covariance) < 4.5 * error).all()


def test_the_joint_process_has_its_slopes_among_the_hyper_parameters():
    model = joint()
    assert with_slopes_drawn(model, problem()[1], jax.random.key(0)) is model


def test_another_surrogate_is_refused():
    class Other(type(joint()).__bases__[0]):
        """Nothing is known of its hyper-parameters."""

        condition = extend = fit = with_room = sized = lambda self, *_: self

    with pytest.raises(TypeError, match="Other cannot be drawn"):
        sampled_surrogates(Other(), problem()[1], 4, jax.random.key(0))
