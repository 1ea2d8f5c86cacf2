"""Acquisitions under constraints that are known by a mask, learnt by a second surrogate, or soft.

*Filter first, rank second*: infeasible candidates neither gain nor compete. *Weighted*: gain x P(feasible), as in
constrained expected improvement (Gardner et al. 2014, eq. 5, PMLR 32; Gelbart et al. 2014, arXiv 1403.5607).
*Penalised*: a(x) - beta d(x, F), with d a distance to the feasible set. The last two rank first: an infeasible
candidate may still set the incumbent, which is why the orders differ.
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.improvement import expected_improvement
from mfal.acquisition.window import inside
from mfal.surrogate.base import Posterior
from mfal.types import Array, Bool, Float, PRNGKeyArray


class Requirement(eqx.Module):
    """A second property that has to lie between bounds.

    Attributes:
        posterior: belief about that property of the same pool.
        low: bound in that property's unit, -inf for none.
        high: bound, +inf for none.
        target: fidelity of that property which the requirement is about.
    """

    posterior: Posterior
    low: Float[Array, ""]
    high: Float[Array, ""]
    target: int = eqx.field(static=True)

    def probability(self) -> Float[Array, " n"]:
        """Return the probability that it is met."""
        return inside(self.posterior, self.target, self.low, self.high)

    def distance(self) -> Float[Array, " n"]:
        """Return the expected violation in the property's unit, smooth in mean and spread of the belief."""
        mean = self.posterior.mean[:, self.target]
        deviation = jnp.sqrt(self.posterior.variance[:, self.target])
        beneath, above = self.low - mean, mean - self.high
        return expected_improvement(beneath, deviation) + expected_improvement(above, deviation)


class Filtered(AbstractAcquisition):
    """Filter first, rank second.

    Attributes:
        inner: ranks the candidates that are left.
        feasible: candidates that may be asked.
    """

    in_eur: ClassVar[bool] = False

    inner: AbstractAcquisition
    feasible: Bool[Array, " n"]

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return what `inner` says of a pool in which infeasible candidates can never be the answer."""
        left = Known(known.measured & self.feasible, known.value * self.feasible, known.closed | ~self.feasible)
        worth = self.inner(posterior, left, key)
        gain = jnp.where(self.feasible[:, None], worth.gain, 0.0)
        return Worth(gain, jnp.where(self.feasible, worth.probability, 0.0))


class Weighted(AbstractAcquisition):
    """Gain and probability times the probability that a learnt requirement is met, independent of the target.

    Attributes:
        inner: gains without the requirement.
        requirement: what has to be met.
    """

    in_eur: ClassVar[bool] = False

    inner: AbstractAcquisition
    requirement: Requirement

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in the unit of `inner`."""
        worth, met = self.inner(posterior, known, key), self.requirement.probability()
        return Worth(worth.gain * met[:, None], worth.probability * met)


class Penalised(AbstractAcquisition):
    """Soft form: the greatest gain of a candidate falls by beta x distance, its other gains in proportion.

    Subtracting the same amount from every fidelity would silence cheap sources first, whose gains are small.

    Attributes:
        inner: gains without the constraint.
        distance: of each candidate to the feasible set, zero inside.
        beta: gain given up for one unit of distance.
    """

    in_eur: ClassVar[bool] = False

    inner: AbstractAcquisition
    distance: Float[Array, " n"]
    beta: Float[Array, ""]

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in the unit of `inner`; the probability of a hit stays as it is."""
        worth = self.inner(posterior, known, key)
        most = jnp.max(worth.gain, axis=1)
        kept = jnp.maximum(most - self.beta * self.distance, 0.0) / jnp.where(most > 0.0, most, 1.0)
        return Worth(worth.gain * kept[:, None], worth.probability)
