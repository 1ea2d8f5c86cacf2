"""Value of information in EUR for the question "which candidates are the k best?".

A hit is a candidate that has been measured at the target and is among the k best of the pool; it is worth
`value_of_hit_eur`. Measuring candidate i is worth V p_i, with p_i the probability that it is a hit. An answer from any
other fidelity is worth what it changes about the decision to measure i at price c:

    gain = E[max(V p_i' - c, 0)] - max(V p_i - c, 0)

(value of information, Howard 1966, 10.1109/TSSC.1966.300074). With d_i the margin by which i beats or misses the
k-th best of the others, all of it reduces to the first two moments of d_i and its covariance with the answer, which
are taken from joint posterior samples; the remaining expectation is a one-dimensional smooth integral.

An answer counts by its difference from the source's mean over the pool. What shifts all answers of a source alike (its
unknown offset) does not change a ranking, and becomes known with the first few answers; judging a single answer with
that offset still in it would find every first answer of a new source worthless, and never ask one.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.stats import norm

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)


class HitValue(AbstractAcquisition):
    """Worth of every query towards finding the k best candidates.

    Attributes:
        value_of_hit_eur: V.
        target_price_eur: c.
        noise_variance: of one answer at each fidelity, unit squared.
        sign: +1 if low values are best, -1 if high ones are.
        target: index of the target fidelity.
        top: k.
        samples: joint samples that the margins are estimated from.
    """

    value_of_hit_eur: Float[Array, ""]
    target_price_eur: Float[Array, ""]
    noise_variance: Float[Array, " L"]
    sign: Float[Array, ""]
    target: int = eqx.field(static=True)
    top: int = eqx.field(static=True)
    samples: int = eqx.field(static=True, default=512)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in EUR and hit probabilities; measured or closed candidates gain nothing at the target."""
        draw_key, noise_key = jax.random.split(key)
        draws = posterior.sample(self.samples, draw_key)
        noise = jnp.sqrt(self.noise_variance[self.target]) * jax.random.normal(noise_key, draws.shape[:2])
        outcome = jnp.where(known.measured, known.value, draws[:, :, self.target] + noise)
        # A candidate that can never be measured can never be a hit, so it does not compete.
        outcome = jnp.where(known.closed, _FAR, self.sign * outcome)
        margin = outcome - jnp.minimum(threshold(outcome, self.top), _FAR)
        return self._worth(draws, margin, known.measured | known.closed)

    def _worth(self, draws: Array, margin: Array, decided: Array) -> Worth:
        margin = jnp.where(decided, 0.0, margin)
        mean, variance = margin.mean(axis=0), margin.var(axis=0) + _TINY
        contrast = draws - draws.mean(axis=1, keepdims=True)
        contrast = contrast - contrast.mean(axis=0)
        shared = jnp.mean(contrast * (margin - mean)[:, :, None], axis=0)
        resolved = shared**2 / (contrast.var(axis=0) + self.noise_variance + _TINY)
        # A finite sample finds variance / samples in common even with an answer that has nothing to say.
        resolved = jnp.clip(resolved - variance[:, None] / self.samples, 0.0, _ALMOST * variance[:, None])
        probability = jnp.where(decided, 0.0, norm.cdf(-mean / jnp.sqrt(variance)))
        gain = jax.vmap(self._information, in_axes=(None, None, 1), out_axes=1)(mean, variance, resolved)
        gain = gain.at[:, self.target].set(self.value_of_hit_eur * probability)
        return Worth(jnp.where(decided[:, None], 0.0, gain), probability)

    def _information(self, mean: Array, variance: Array, resolved: Array) -> Array:
        now = jnp.maximum(self.value_of_hit_eur * norm.cdf(-mean / jnp.sqrt(variance)) - self.target_price_eur, 0.0)
        return jnp.clip(self._after(mean, variance, resolved) - now, 0.0)

    def _after(self, mean: Array, variance: Array, resolved: Array) -> Array:
        """Return E[max(V p' - c, 0)], integrating only where the answer would lead to a measurement."""
        left, sd = jnp.sqrt(variance - resolved), jnp.sqrt(resolved + _TINY)
        worthwhile = -left * norm.ppf(jnp.minimum(self.target_price_eur / self.value_of_hit_eur, 1.0))
        low, high = mean - _REACH * sd, jnp.clip(worthwhile, mean - _REACH * sd, mean + _REACH * sd)
        at = low[:, None] + 0.5 * (high - low)[:, None] * (_NODES + 1.0)
        surplus = self.value_of_hit_eur * norm.cdf(-at / left[:, None]) - self.target_price_eur
        density = norm.pdf(at, mean[:, None], sd[:, None])
        return 0.5 * (high - low) * ((surplus * density) @ _WEIGHTS)


_TINY = 1e-18
_ALMOST = 1.0 - 1e-9
_REACH = 8.0
# Stands for infinity in the property's unit, so that differences stay finite.
_FAR = 1e9


def threshold(outcome: Float[Array, "samples n"], top: int) -> Float[Array, "samples n"]:
    """Return, for every candidate, the `top`-th lowest outcome among the others (+inf if there are fewer)."""
    padded = jnp.pad(outcome, ((0, 0), (0, top + 1)), constant_values=jnp.inf)
    lowest = -jax.lax.top_k(-padded, top + 1)[0]
    inside = outcome <= lowest[:, top - 1 : top]
    return jnp.where(inside, lowest[:, top:], lowest[:, top - 1 : top])
