"""Worth of every query for the question "which candidates lie in the window?", in EUR.

A hit is a candidate whose measured value lies in [low, high]. The figure of merit is the target value.
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.marginal import explained
from mfal.acquisition.value import Payoff, crossing, gains, marginal_worth
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray


class WindowValue(AbstractAcquisition):
    """Worth of every query towards measuring candidates in a window.

    Attributes:
        value_of_hit_eur: of each of the first `wanted` hits; further ones are worth nothing.
        price_eur: of a measurement at the target.
        noise_variance: of one answer at each fidelity, unit squared.
        low: lower edge of the window, in the property's unit.
        high: upper edge.
        wanted: hits, those in hand included; infinite if every one is welcome.
        target: index of the target fidelity.
    """

    in_eur: ClassVar[bool] = True

    value_of_hit_eur: Float[Array, ""]
    price_eur: Float[Array, ""]
    noise_variance: Float[Array, " L"]
    low: Float[Array, ""]
    high: Float[Array, ""]
    wanted: Float[Array, ""]
    target: int = eqx.field(static=True)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in EUR and hit probabilities; decided candidates gain nothing."""
        mean, resolved = posterior.mean[:, self.target], explained(posterior, self.target, self.noise_variance)
        variance = posterior.variance[:, self.target] + self.noise_variance[self.target]
        chance = jnp.where(known.decided, 0.0, self._chance(mean, jnp.sqrt(variance + _TINY)))
        found = jnp.sum(known.measured & (known.value >= self.low) & (known.value <= self.high))
        worth = marginal_worth(self.value_of_hit_eur, self.price_eur, chance, self.wanted - found)
        payoff = lambda at, sd: worth * self._chance(at, sd)  # noqa: E731
        edges = lambda sd: self._edges(payoff, sd)  # noqa: E731
        gain = gains(payoff, self.price_eur, mean, variance, resolved, edges, self.target)
        return Worth(jnp.where(known.decided[:, None], 0.0, gain), chance)

    def _chance(self, mean: Array, sd: Array) -> Array:
        return norm.cdf((self.high - mean) / sd) - norm.cdf((self.low - mean) / sd)

    def _edges(self, payoff: Payoff, sd: Array) -> tuple[Array, Array]:
        """Return the means around the window's middle from which measuring pays."""
        middle, half = 0.5 * (self.low + self.high), 0.5 * (self.high - self.low)
        centre = jnp.full_like(sd, middle)
        edge = crossing(lambda at: payoff(at, sd) - self.price_eur, centre, centre + half + _REACH * sd)
        pays = payoff(centre, sd) > self.price_eur
        return jnp.where(pays, 2.0 * middle - edge, middle), jnp.where(pays, edge, middle)


# Beyond this many standard deviations outside the window a hit is out of the question.
_REACH = 8.0
_TINY = 1e-18
