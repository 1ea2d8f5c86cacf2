"""Samples of the best target value in the pool, as the maximum of -sign x f_T.

From independent marginals by a Gumbel fit to the quantiles of the maximum (Wang and Jegelka 2017, sec. 3.1, arXiv
1703.01968), or exactly from joint samples of the most promising candidates.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc

from mfal.acquisition.base import Known
from mfal.acquisition.marginal import most_promising
from mfal.surrogate.base import Posterior
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray


class AbstractMaxima(eqx.Module):
    """Draws the pool's best target value; closed candidates do not compete."""

    @abstractmethod
    def __call__(
        self, posterior: Posterior, known: Known, target: int, sign: Float[Array, ""], key: PRNGKeyArray
    ) -> Float[Array, " count"]:
        """Return samples of the maximum of -sign x f_T over the pool."""


class GumbelMaxima(AbstractMaxima):
    """Evenly spaced quantiles of a Gumbel law fitted to independent marginals; it needs no random number.

    Neglecting correlation puts the maximum too high, never too low (Slepian 1962, for correlations that are positive).

    Attributes:
        count: quantiles.
    """

    count: int = eqx.field(static=True, default=16)

    def __call__(
        self, posterior: Posterior, known: Known, target: int, sign: Float[Array, ""], key: PRNGKeyArray
    ) -> Float[Array, " count"]:
        """Return the quantiles at (k + 1/2) / count."""
        centre = jnp.where(known.closed, -jnp.inf, -sign * posterior.mean[:, target])
        lower, median, upper = _quantiles(centre, jnp.sqrt(posterior.variance[:, target]))
        # P(max < y) = exp(-exp(-(y - a) / b)), so that the quantile at r is a - b log(-log r).
        reduced = -np.log(-np.log((np.arange(self.count) + 0.5) / self.count))
        at = -np.log(-np.log(_LEVELS))
        scale = (upper - lower) / (at[2] - at[0])
        return median + scale * (reduced - at[1])


class JointMaxima(AbstractMaxima):
    """Maxima of exact joint samples over the candidates with the highest upper bounds.

    Attributes:
        count: samples.
        shortlist: candidates sampled; exact if the pool has no more.
    """

    count: int = eqx.field(static=True, default=16)
    shortlist: int = eqx.field(static=True, default=512)

    def __call__(
        self, posterior: Posterior, known: Known, target: int, sign: Float[Array, ""], key: PRNGKeyArray
    ) -> Float[Array, " count"]:
        """Return one maximum a sample."""
        chosen = most_promising(posterior, known.closed, target, sign, self.shortlist)
        draws = -sign * posterior.block_draws(chosen, target, self.count, key)
        return jnp.max(jnp.where(known.closed[chosen], -jnp.inf, draws), axis=1)


_LEVELS = np.array([0.25, 0.5, 0.75])
# Newton steps on log(-log P), close to a straight line, end after four or five and leave the square of the last;
# halvings of the bracket are the rest.
_STEPS, _CLOSE = 60, 1e-5


def _quantiles(centre: Float[Array, " n"], deviation: Float[Array, " n"]) -> Float[Array, "3"]:
    """Return the quartiles of the maximum of independent normals, by Newton steps within a bracket."""
    deviation = jnp.maximum(deviation, jnp.finfo(deviation.dtype).tiny)
    # One candidate alone puts P(max < low) below 1/4; the union bound puts P(max < high) above 3/4.
    low = jnp.max(centre - deviation)
    high = jnp.max(centre + np.sqrt(2.0 * np.log(2.0 * centre.shape[0])) * deviation)
    wanted, least = jnp.asarray(np.log(-np.log(_LEVELS)), dtype=centre.dtype), 16.0 * jnp.finfo(centre.dtype).eps
    close = jnp.maximum(_CLOSE, least) * (high - low)

    def step(search: _Search) -> _Search:
        log_below, density = _log_below(search.at, centre, deviation)
        reached = jnp.log(-log_below)
        low = jnp.where(reached > wanted, search.at, search.low)
        high = jnp.where(reached > wanted, search.high, search.at)
        ahead = search.at + (wanted - reached) * log_below / density
        ahead = jnp.where((ahead >= low) & (ahead <= high), ahead, 0.5 * (low + high))
        return _Search(low, high, ahead, jnp.all(jnp.abs(ahead - search.at) <= close), search.steps + 1)

    start = _Search(jnp.full(3, low), jnp.full(3, high), jnp.full(3, high), jnp.zeros((), bool), jnp.zeros((), int))
    return jax.lax.while_loop(lambda search: ~search.found & (search.steps < _STEPS), step, start).at


class _Search(eqx.Module):
    low: Float[Array, "3"]
    high: Float[Array, "3"]
    at: Float[Array, "3"]
    found: Bool[Array, ""]
    steps: Int[Array, ""]


def _log_below(
    value: Float[Array, "3"], centre: Float[Array, " n"], deviation: Float[Array, " n"]
) -> tuple[Float[Array, "3"], Float[Array, "3"]]:
    """Return log P(max < value) and its derivative; `value` is at most one deviation below any, so no tail is lost."""
    lead = (value[:, None] - centre) / deviation
    beyond = 0.5 * erfc(lead / np.sqrt(2.0))
    density = jnp.exp(-0.5 * lead**2) / np.sqrt(2.0 * np.pi) / ((1.0 - beyond) * deviation)
    return jnp.sum(jnp.log1p(-beyond), axis=1), jnp.sum(density, axis=1)
