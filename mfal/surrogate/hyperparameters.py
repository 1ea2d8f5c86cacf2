"""Hyper-parameters as uncertain as the answers leave them: draws from their posterior, to put into a surrogate."""

import dataclasses
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from mfal.dataset import Dataset
from mfal.surrogate.base import AbstractSurrogate
from mfal.surrogate.joint import JointGP
from mfal.surrogate.pool import Rows, Trend
from mfal.surrogate.recursive import RecursiveGP
from mfal.surrogate.recursive_belief import Ascent
from mfal.surrogate.sample import Sampled, sample_parameters
from mfal.types import Array, Float, Int, PRNGKeyArray


class SampledSurrogates(eqx.Module):
    """Draws of a surrogate's hyper-parameters and how far to trust them.

    Attributes:
        parameters: as the surrogate's own, with a leading axis of draws.
        r_hat: largest potential scale reduction of any parameter; far above 1 the chains have not mixed.
        divergences: transitions that left the typical set, of all chains.
    """

    parameters: Any
    r_hat: Float[Array, ""]
    divergences: Int[Array, ""]


def sampled_surrogates(
    surrogate: AbstractSurrogate, dataset: Dataset, count: int, key: PRNGKeyArray
) -> SampledSurrogates:
    """Return draws of the hyper-parameters from their posterior given the answers, by NUTS; for the host.

    Of the joint process all parameters are drawn together. Recursive co-kriging is modular: each fidelity is drawn
    given those below it at their current hyper-parameters, which should be fitted ones, and the draws of the fidelities
    are combined independently. Without answers these are draws from the prior.

    Args:
        surrogate: gives the prior and the point around which the chains start.
        dataset: answers.
        count: draws in all.
        key: the same key, the same draws.

    Raises:
        TypeError: hyper-parameters of such a surrogate cannot be drawn.
    """
    if isinstance(surrogate, JointGP):
        return _of_all(surrogate, dataset, count, key)
    if isinstance(surrogate, RecursiveGP):
        return _of_levels(surrogate, dataset, count, key)
    raise TypeError(f"hyper-parameters of a {type(surrogate).__name__} cannot be drawn; give a JointGP or RecursiveGP")


def with_parameters(surrogate: AbstractSurrogate, parameters: Any) -> AbstractSurrogate:
    """Return the surrogate with other hyper-parameters, such as one draw of them."""
    return eqx.tree_at(lambda one: one.parameters, surrogate, parameters)


def with_slopes_drawn(surrogate: AbstractSurrogate, dataset: Dataset, key: PRNGKeyArray) -> AbstractSurrogate:
    """Return the surrogate with slopes between fidelities that are known: a draw from what the answers say of them.

    Recursive co-kriging integrates slopes out, and its samples hold them at their mean where nothing has been answered.
    The joint process stays as it is: there the slopes are hyper-parameters.
    """
    if not isinstance(surrogate, RecursiveGP):
        return surrogate
    slopes = jnp.zeros_like(surrogate.prior.slope_mean)
    for level, process in enumerate(surrogate.condition(dataset).levels[1:], start=1):
        mean, covariance = process.coefficient_mean[1:], process.coefficient_covariance[1:, 1:]
        # A source that is left out has a slope of variance zero, which a Cholesky factor would not survive.
        drawn = jax.random.multivariate_normal(jax.random.fold_in(key, level), mean, covariance, method="svd")
        slopes = slopes.at[level, :level].set(drawn)
    known = (slopes, jnp.zeros_like(slopes))
    return eqx.tree_at(lambda one: (one.prior.slope_mean, one.prior.slope_sd), surrogate, known)


# Two tell whether they agree; of each, every fourth draw is kept.
_CHAINS, _WARMUP, _THIN = 2, 200, 4
# Answers that one fidelity is learnt from, as in its fit.
_ROWS = 256


def _of_all(surrogate: JointGP, dataset: Dataset, count: int, key: PRNGKeyArray) -> SampledSurrogates:
    """Return draws of all parameters together."""
    observed = np.asarray(dataset.observed)
    # Only these count: the loss picks its rows anew every time, which is dear in a large pool.
    answered = np.flatnonzero(observed.any(axis=1)) if observed.any() else np.zeros(1, int)
    features, answers = surrogate.features[answered], jax.tree.map(lambda leaf: leaf[answered], dataset)
    small = dataclasses.replace(surrogate, features=features, rows=max(int(observed.sum()), 1))
    current, rebuild = ravel_pytree(surrogate.parameters)
    spread = ravel_pytree(surrogate.prior.sd)[0]
    sampled = _sample(lambda vector: small.loss(rebuild(vector), answers), current, spread, count, key)
    return SampledSurrogates(jax.vmap(rebuild)(sampled.draws), jnp.max(sampled.r_hat), sampled.divergences)


def _of_levels(surrogate: RecursiveGP, dataset: Dataset, count: int, key: PRNGKeyArray) -> SampledSurrogates:
    """Return draws level by level, combined independently."""
    sizes = tuple(int(np.clip(answers, 1, _ROWS)) for answers in np.asarray(dataset.observed).sum(axis=0))
    problems = _problems(surrogate, dataset, sizes)
    levels = [
        _of_level(surrogate, level, problem, count, jax.random.fold_in(key, level))
        for level, problem in enumerate(problems)
    ]
    parameters = jax.tree.map(lambda *leaves: jnp.stack(leaves, axis=1), *[one.parameters for one in levels])
    r_hat, divergences = (jnp.stack(of) for of in zip(*[(one.r_hat, one.divergences) for one in levels], strict=True))
    return SampledSurrogates(parameters, jnp.max(r_hat), jnp.sum(divergences))


def _of_level(
    surrogate: RecursiveGP, level: int, problem: tuple[Rows, Trend, Array], count: int, key: PRNGKeyArray
) -> SampledSurrogates:
    """Return draws of one level's hyper-parameters, without the axis of levels."""
    current, rebuild = ravel_pytree(jax.tree.map(lambda leaf: leaf[level], surrogate.parameters))
    spread = ravel_pytree(jax.tree.map(lambda leaf: leaf[level], surrogate.prior.sd))[0]
    sampled = _sample(lambda vector: surrogate.loss(vector, level, *problem), current, spread, count, key)
    return SampledSurrogates(jax.vmap(rebuild)(sampled.draws), jnp.max(sampled.r_hat), sampled.divergences)


@eqx.filter_jit
def _problems(surrogate: RecursiveGP, dataset: Dataset, sizes: tuple[int, ...]) -> list[tuple[Rows, Trend, Array]]:
    """Return what the hyper-parameters of each level are learnt from, given those below as they are."""
    ascent, problems = Ascent.start(surrogate.features.shape[0]), []
    for size, process in zip(sizes, surrogate.condition(dataset).levels, strict=True):
        problems.append(surrogate.level_problem(dataset, ascent, size))
        ascent = ascent.up(process, dataset)
    return problems


def _sample(
    loss: Callable[[Array], Array],
    current: Float[Array, " p"],
    spread: Float[Array, " p"],
    count: int,
    key: PRNGKeyArray,
) -> Sampled:
    """Return `count` draws, every other one from each chain; the chains start spread around the current point."""
    of_starts, of_chains = jax.random.split(key)
    starts = current + spread * jax.random.normal(of_starts, (_CHAINS, current.shape[0]))
    each = -(-count // _CHAINS)
    sampled = sample_parameters(loss, starts, each * _THIN, _WARMUP, of_chains)
    kept = sampled.draws.reshape(_CHAINS, each, _THIN, -1)[:, :, -1]
    draws = jnp.swapaxes(kept, 0, 1).reshape(_CHAINS * each, -1)[:count]
    return Sampled(draws, sampled.r_hat, sampled.divergences)
