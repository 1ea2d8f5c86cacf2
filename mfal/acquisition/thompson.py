"""Thompson sampling over a pool, averaged: how often a candidate is the best of a joint posterior sample.

Each pathwise sample names one winner at the target (Thompson 1933, 10.1093/biomet/25.3-4.285; pathwise samples: Wilson
et al. 2021, arXiv 2011.04026); the share of wins estimates P(i is the best). An answer at another fidelity is worth
that probability times the share of the target's variance that the answer takes away.

Samples come from the belief given the answers in hand. Expected answers narrow each candidate's deviation from the mean
to what is left of its own spread; how candidates deviate together is kept.
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.marginal import explained_share
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray


class ThompsonSampling(AbstractAcquisition):
    """Probability of being the best candidate of the pool.

    Attributes:
        noise_variance: of one answer at each fidelity, unit squared.
        sign: +1 if low values are best, -1 if high ones are.
        target: index of the target fidelity.
        count: joint samples; one gives classical Thompson sampling.
    """

    in_eur: ClassVar[bool] = False

    noise_variance: Float[Array, " L"]
    sign: Float[Array, ""]
    target: int = eqx.field(static=True)
    count: int = eqx.field(static=True, default=64)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains as probabilities; candidates in hand compete but gain nothing, closed ones do not compete."""
        outcome = jnp.where(known.closed, jnp.inf, self.sign * self._draws(posterior, key))
        wins = jnp.zeros(outcome.shape[1]).at[jnp.argmin(outcome, axis=1)].add(1.0 / self.count)
        probability = jnp.where(known.decided, 0.0, wins)
        share = explained_share(posterior, self.target, self.noise_variance).at[:, self.target].set(1.0)
        return Worth(probability[:, None] * share, probability)

    def _draws(self, posterior: Posterior, key: PRNGKeyArray) -> Float[Array, "count n"]:
        mean, before = posterior.mean[:, self.target], posterior.belief.own[:, self.target, self.target]
        left = posterior.variance[:, self.target] / jnp.where(before > 0.0, before, 1.0)
        return mean + jnp.sqrt(left) * (posterior.belief.draws(self.count, self.target, key) - mean)
