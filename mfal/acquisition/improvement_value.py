"""Worth of every query for the question "how much better can it get?", in EUR.

An improvement of the best known target value by one unit is worth `value_per_unit_eur`. The figure of merit is the
target value, low being good, and the payoff of measuring is the expected improvement (Jones 1998,
10.1023/A:1008306431147).
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.improvement import expected_improvement
from mfal.acquisition.marginal import explained
from mfal.acquisition.value import crossing, gains
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray


class ImprovementValue(AbstractAcquisition):
    """Worth of every query towards a better best value.

    Attributes:
        value_per_unit_eur: worth of an improvement by one unit of the property.
        price_eur: of a measurement at the target.
        noise_variance: of one answer at each fidelity, unit squared.
        incumbent: value to beat before anything has been measured, property's unit.
        sign: +1 if low values are best, -1 if high ones are.
        target: index of the target fidelity.
    """

    in_eur: ClassVar[bool] = True

    value_per_unit_eur: Float[Array, ""]
    price_eur: Float[Array, ""]
    noise_variance: Float[Array, " L"]
    incumbent: Float[Array, ""]
    sign: Float[Array, ""]
    target: int = eqx.field(static=True)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in EUR, and the probability of beating the best known value."""
        answers = jnp.where(known.measured, self.sign * known.value, jnp.inf)
        best = jnp.minimum(self.sign * self.incumbent, jnp.min(answers))
        mean, variance = self.sign * posterior.mean[:, self.target], posterior.variance[:, self.target]
        payoff = lambda at, sd: self._payoff(best - at, sd)  # noqa: E731
        edges = lambda sd: self._edges(best, sd)  # noqa: E731
        resolved = explained(posterior, self.target, self.noise_variance)
        gain = gains(payoff, self.price_eur, mean, variance, resolved, edges, self.target)
        probability = norm.cdf((best - mean) / jnp.sqrt(variance + _TINY))
        gain = jnp.where(known.decided[:, None], 0.0, gain)
        return Worth(gain, jnp.where(known.decided, 0.0, probability))

    def _payoff(self, lead: Array, sd: Array) -> Array:
        return self.value_per_unit_eur * expected_improvement(lead, sd)

    def _edges(self, best: Array, sd: Array) -> tuple[Array, Array]:
        """Return the means from which measuring pays: all those under one value."""
        surely = jnp.full_like(sd, best - self.price_eur / self.value_per_unit_eur - _TINY)
        never = best + _REACH * sd
        edge = crossing(lambda at: self._payoff(best - at, sd) - self.price_eur, surely, never)
        return jnp.full_like(sd, -_FAR), edge


_TINY = 1e-18
_REACH, _FAR = 8.0, 1e9
