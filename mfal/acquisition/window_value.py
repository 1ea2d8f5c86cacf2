"""Worth of every query for the question "which candidates lie in the window?", in EUR.

A hit is a candidate whose measured value lies in [low, high]; it is worth V. The figure of merit is the target value.
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.marginal import explained
from mfal.acquisition.value import crossing, gains
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray


class WindowValue(AbstractAcquisition):
    """Worth of every query towards measuring candidates in a window.

    Attributes:
        value_of_hit_eur: V.
        price_eur: of a measurement at the target.
        noise_variance: of one answer at each fidelity, unit squared.
        low: lower edge of the window, in the property's unit.
        high: upper edge.
        target: index of the target fidelity.
    """

    in_eur: ClassVar[bool] = True

    value_of_hit_eur: Float[Array, ""]
    price_eur: Float[Array, ""]
    noise_variance: Float[Array, " L"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    target: int = eqx.field(static=True)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in EUR and hit probabilities; decided candidates gain nothing."""
        mean, resolved = posterior.mean[:, self.target], explained(posterior, self.target, self.noise_variance)
        variance = posterior.variance[:, self.target] + self.noise_variance[self.target]
        gain = gains(self._payoff, self.price_eur, mean, variance, resolved, self._edges, self.target)
        gain = jnp.where(known.decided[:, None], 0.0, gain)
        return Worth(gain, gain[:, self.target] / self.value_of_hit_eur)

    def _payoff(self, mean: Array, sd: Array) -> Array:
        return self.value_of_hit_eur * (norm.cdf((self.high - mean) / sd) - norm.cdf((self.low - mean) / sd))

    def _edges(self, sd: Array) -> tuple[Array, Array]:
        """Return the means around the window's middle from which measuring pays."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        centre = jnp.full_like(sd, middle)
        edge = crossing(lambda at: self._payoff(at, sd) - self.price_eur, centre, centre + half + _REACH * sd)
        pays = self._payoff(centre, sd) > self.price_eur
        return jnp.where(pays, 2.0 * middle - edge, middle), jnp.where(pays, edge, middle)


# Beyond this many standard deviations outside the window a hit is out of the question.
_REACH = 8.0
