"""Values that are not normal: a sinh-arcsinh transform a fidelity, after which they are.

z = c + s sinh(delta asinh((y - c) / s) - epsilon)      (Jones and Pewsey 2009, 10.1093/biomet/asp053)

with c the typical value and s the typical spread: epsilon skews, and delta below one makes the tails of y light, above
one heavy. Both are as uncertain as the answers leave them.
"""

import equinox as eqx
import jax.numpy as jnp

from mfal.dataset import Dataset
from mfal.surrogate.recursive_prior import Prior
from mfal.types import Array, Float

# Standard deviations of skew and log tail beforehand; both are zero where values are normal.
SKEW_SD, LOG_TAIL_SD = 0.5, 0.3


class Warp(eqx.Module):
    """Transform of the values of each fidelity, in the last axis of what it is given, to normal ones and back.

    Attributes:
        centre: c.
        scale: s.
        skew: epsilon.
        log_tail: log delta.
    """

    centre: Float[Array, "*levels"]
    scale: Float[Array, "*levels"]
    skew: Float[Array, "*levels"]
    log_tail: Float[Array, "*levels"]

    @staticmethod
    def none(prior: Prior) -> "Warp":
        """Return the transform that leaves values as they are."""
        nothing = jnp.zeros_like(prior.typical_value)
        return Warp(prior.typical_value, prior.typical_spread, nothing, nothing)

    def level(self, level: int) -> "Warp":
        """Return the transform of one fidelity, for values that have no axis of fidelities."""
        return Warp(self.centre[level], self.scale[level], self.skew[level], self.log_tail[level])

    def to_normal(self, value: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return values on the scale on which they are normal."""
        return self.centre + self.scale * jnp.sinh(self._angle(value))

    def from_normal(self, normal: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return values in their own unit."""
        angle = jnp.arcsinh((normal - self.centre) / self.scale) + self.skew
        return self.centre + self.scale * jnp.sinh(angle * jnp.exp(-self.log_tail))

    def log_slope(self, value: Float[Array, "..."]) -> Float[Array, "..."]:
        """Return log dz/dy."""
        standard = (value - self.centre) / self.scale
        return jnp.log(jnp.cosh(self._angle(value))) + self.log_tail - 0.5 * jnp.log1p(standard**2)

    def of_answers(self, dataset: Dataset) -> Dataset:
        """Return the answers, and the variance of their noise, on the scale on which values are normal."""
        value = jnp.where(dataset.observed, self.to_normal(dataset.value), dataset.value)
        widened = dataset.noise_variance * jnp.exp(2.0 * self.log_slope(dataset.value))
        return Dataset(dataset.status, value, jnp.where(dataset.observed, widened, dataset.noise_variance))

    def _angle(self, value: Array) -> Array:
        return jnp.exp(self.log_tail) * jnp.arcsinh((value - self.centre) / self.scale) - self.skew
