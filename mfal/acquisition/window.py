"""Target windows: probability that the target lies in [a, b], and what an answer says about it.

An answer u (standardised) correlated by rho with f_T leaves N(mu + rho s u, s^2 (1 - rho^2)), so that the information
(nats) about the indicator is H(p) - E_u[H(p(u))], with H the binary entropy (Cover and Thomas 2006, eq. 2.43).
p(u) moves between 0 and 1 only near the two edges, and there the integral is taken.
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr, xlogy
from jax.scipy.stats import norm

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.marginal import explained_share
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray


class WindowInformation(AbstractAcquisition):
    """Information about whether the target lies in a window.

    Attributes:
        low: lower edge in the property's unit, -inf for none.
        high: upper edge, +inf for none.
        noise_variance: of one answer at each fidelity, unit squared.
        target: index of the target fidelity.
    """

    in_eur: ClassVar[bool] = False

    low: Float[Array, ""]
    high: Float[Array, ""]
    noise_variance: Float[Array, " L"]
    target: int = eqx.field(static=True)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in nats and the probability of lying in the window; both zero for decided candidates."""
        probability = inside(posterior, self.target, self.low, self.high)
        lower, upper = _edges(posterior, self.target, self.low, self.high)
        share = explained_share(posterior, self.target, self.noise_variance)
        row = lambda one: information(one[0], one[1], one[2])  # noqa: E731
        size = max(1, _BATCH // (share.shape[1] * _NODES.size))
        gain = jax.lax.map(row, (lower, upper, share), batch_size=min(size, share.shape[0]))
        decided = known.decided
        return Worth(jnp.where(decided[:, None], 0.0, gain), jnp.where(decided, 0.0, probability))


def inside(posterior: Posterior, target: int, low: Float[Array, ""], high: Float[Array, ""]) -> Float[Array, " n"]:
    """Return the probability that f_T lies in [low, high]; without spread, whether the mean does."""
    mean = posterior.mean[:, target]
    certain = jnp.where((mean >= low) & (mean <= high), 1.0, 0.0)
    within, _ = _split(*_edges(posterior, target, low, high))
    return jnp.where(posterior.variance[:, target] > 0.0, within, certain)


def information(lower: Float[Array, ""], upper: Float[Array, ""], share: Float[Array, " L"]) -> Float[Array, " L"]:
    """Return the information (nats) of answers about a standard normal value lying in [lower, upper].

    Args:
        lower: edge in standard deviations from the mean.
        upper: the other edge.
        share: squared correlation of each answer with the value.
    """
    rho, left = jnp.sqrt(jnp.maximum(share, 1e-16)), jnp.sqrt(1.0 - share)
    first, last = jnp.clip(lower, -_FAR, _FAR), jnp.clip(upper, -_FAR, _FAR)
    # One panel for each edge; they meet half way between the two.
    middle, reach = jnp.clip(0.5 * (first + last) / rho, -_REACH, _REACH), _REACH * left
    start, end = (jnp.clip((first + step) / rho, -_REACH, middle) for step in (-reach, reach))
    remaining = _integral(start, end, first, last, rho, left)
    start, end = (jnp.clip((last + step) / rho, middle, _REACH) for step in (-reach, reach))
    remaining += _integral(start, end, first, last, rho, left)
    nats = _entropy(*_split(lower, upper)) - remaining
    return jnp.where(share > 0.0, jnp.maximum(nats, 0.0), 0.0)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
# Array elements in flight: small enough for a processor's cache, large enough to keep an accelerator busy.
_BATCH = 2**21
# Reach of a normal variable in deviations, and what stands for an edge at infinity.
_REACH, _FAR = 8.5, 1e6


def _edges(posterior: Posterior, target: int, low: Array, high: Array) -> tuple[Array, Array]:
    """Return the window in standard deviations from each mean."""
    deviation = jnp.sqrt(posterior.variance[:, target])
    scale = jnp.where(deviation > 0.0, deviation, 1.0)
    return (low - posterior.mean[:, target]) / scale, (high - posterior.mean[:, target]) / scale


def _split(lower: Array, upper: Array) -> tuple[Array, Array]:
    """Return the probabilities of a standard normal value inside and outside, both exact where they are small."""
    below, above = ndtr(-jnp.abs(lower)), ndtr(-jnp.abs(upper))
    around, aside = below + above, jnp.abs(below - above)
    straddling = (lower <= 0.0) & (upper >= 0.0)
    return jnp.where(straddling, 1.0 - around, aside), jnp.where(straddling, around, 1.0 - aside)


def _entropy(within: Array, without: Array) -> Array:
    return -xlogy(within, within) - xlogy(without, without)


def _integral(start: Array, end: Array, first: Array, last: Array, rho: Array, left: Array) -> Array:
    """Return the integral of phi(u) H(p(u)) from `start` to `end`."""
    half = 0.5 * (end - start)[..., None]
    at = start[..., None] + half * (_NODES + 1.0)
    moved, scale = rho[..., None] * at, jnp.maximum(left, 1e-12)[..., None]
    entropy = _entropy(*_split((first - moved) / scale, (last - moved) / scale))
    return jnp.sum(half * _WEIGHTS * norm.pdf(at) * entropy, axis=-1)
