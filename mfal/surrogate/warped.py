"""Recursive co-kriging of values that need not be normal, its hyper-parameters as uncertain as the answers leave them.

Each fidelity's values are normal after a transform of their own (warped Gaussian process: Snelson, Rasmussen and
Ghahramani 2004, NIPS 16), which is learnt with its hyper-parameters. One chain a draw, from the first fidelity to the
last: each is learnt given the draw of those below it.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.dataset import Dataset
from mfal.surrogate.elliptical import elliptical_draw
from mfal.surrogate.pool import Rows, Trend
from mfal.surrogate.recursive import RecursiveGP, log_evidence
from mfal.surrogate.recursive_belief import Ascent
from mfal.surrogate.recursive_prior import Parameters
from mfal.surrogate.warp import LOG_TAIL_SD, SKEW_SD, Warp
from mfal.types import Array, Float, PRNGKeyArray


class WarpedDraws(eqx.Module):
    """Draws that belong together, stacked along the first axis.

    Attributes:
        parameters: hyper-parameters of the process of the transformed values.
        warp: the transforms.
    """

    parameters: Parameters
    warp: Warp


def rows_learnt_from(dataset: Dataset) -> tuple[int, ...]:
    """Return how many answers each fidelity's draws are learnt from: those there are, and not too many."""
    return tuple(int(np.clip(answers, 1, _ROWS)) for answers in np.asarray(dataset.observed).sum(axis=0))


@eqx.filter_jit
def warped_draws(
    surrogate: RecursiveGP, dataset: Dataset, rows: Sequence[int], count: int, key: PRNGKeyArray
) -> WarpedDraws:
    """Return draws of hyper-parameters and transforms from their posterior.

    Args:
        surrogate: gives the prior, and where the chains start: at its hyper-parameters, without a transform.
        dataset: answers.
        rows: of each fidelity to learn from, see `rows_learnt_from`; with fewer than there are, a subset.
        count: draws, one chain each.
        key: the same key, the same draws.
    """
    one = lambda key: _draw(surrogate, dataset, rows, key)  # noqa: E731
    return jax.lax.map(one, jax.random.split(key, count), batch_size=_TOGETHER)


# Answers of one fidelity that draws are learnt from, and the sweeps after which a chain has forgotten its start.
_ROWS, _SWEEPS = 96, 60
# Chains side by side: each holds a process over the pool.
_TOGETHER = 16


def _draw(surrogate: RecursiveGP, dataset: Dataset, rows: Sequence[int], key: PRNGKeyArray) -> WarpedDraws:
    ascent, warp = Ascent.start(surrogate.features.shape[0]), Warp.none(surrogate.prior)
    for level, size in enumerate(rows):
        problem = surrogate.level_problem(warp.of_answers(dataset), ascent, size)
        parameters, warp = _level_draw(surrogate, warp, level, problem, jax.random.fold_in(key, level))
        surrogate = eqx.tree_at(lambda one: one.parameters, surrogate, parameters)
        normal = warp.of_answers(dataset)
        ascent = ascent.up(surrogate.level_process(normal, ascent), normal)
    return WarpedDraws(surrogate.parameters, warp)


def _level_draw(
    surrogate: RecursiveGP, warp: Warp, level: int, problem: tuple[Rows, Trend, Array], key: PRNGKeyArray
) -> tuple[Parameters, Warp]:
    """Return parameters and transforms in which those of one level have been drawn."""
    prior = surrogate.prior
    centre, sd, current = (part.vector(level) for part in (prior.mean, prior.sd, surrogate.parameters))
    normal, spread = jnp.zeros(2), jnp.array([SKEW_SD, LOG_TAIL_SD])

    def log_likelihood(vector: Array) -> Array:
        return _log_likelihood(problem, vector[:-2], _shaped(warp.level(level), vector[-2:]))

    centre, sd, start = jnp.r_[centre, normal], jnp.r_[sd, spread], jnp.r_[current, normal]
    drawn = elliptical_draw(log_likelihood, centre, sd, start, _SWEEPS, key)
    skew, log_tail = warp.skew.at[level].set(drawn[-2]), warp.log_tail.at[level].set(drawn[-1])
    return surrogate.parameters.with_vector(level, drawn[:-2]), Warp(warp.centre, warp.scale, skew, log_tail)


def _log_likelihood(problem: tuple[Rows, Trend, Array], vector: Float[Array, " p"], warp: Warp) -> Float[Array, ""]:
    """Return the log density of one level's answers in their own unit, from rows that have not been transformed."""
    rows, trend, inputs = problem
    slope = jnp.where(rows.used, warp.log_slope(rows.value), 0.0)
    value = jnp.where(rows.used, warp.to_normal(rows.value), rows.value)
    normal = Rows(rows.point, value, rows.noise_variance * jnp.exp(2.0 * slope), rows.used)
    return log_evidence(vector, normal, trend, inputs) + jnp.sum(slope)


def _shaped(warp: Warp, shape: Float[Array, " 2"]) -> Warp:
    return Warp(warp.centre, warp.scale, shape[0], shape[1])
