"""Max-value entropy search: information (nats) that an answer gives about the best target value in the pool.

Averaged over samples of that value f* (Wang and Jegelka 2017, arXiv 1703.01968; with several fidelities Takeno et al.
2020, arXiv 1901.08275); see `mfal.acquisition.information`. Noise lowers the correlation of an answer with f_T.
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.information import mean_information
from mfal.acquisition.marginal import explained_share, surpassing
from mfal.acquisition.maxima import AbstractMaxima
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray


class MaxValueEntropy(AbstractAcquisition):
    """Information about the best target value.

    Attributes:
        noise_variance: of one answer at each fidelity, unit squared.
        sign: +1 if low values are best, -1 if high ones are.
        maxima: where samples of the best value come from.
        target: index of the target fidelity.
    """

    in_eur: ClassVar[bool] = False

    noise_variance: Float[Array, " L"]
    sign: Float[Array, ""]
    maxima: AbstractMaxima
    target: int = eqx.field(static=True)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in nats and the probability of beating the best known answer."""
        best = self.maxima(posterior, known, self.target, self.sign, key)
        centre, deviation = -self.sign * posterior.mean[:, self.target], jnp.sqrt(posterior.variance[:, self.target])
        share = explained_share(posterior, self.target, self.noise_variance)

        gap = (best - centre[:, None]) / jnp.where(deviation > 0.0, deviation, 1.0)[:, None]
        gain = jnp.where(share > 0.0, mean_information(gap, share), 0.0)
        probability = surpassing(posterior, known, self.target, self.sign)
        return Worth(jnp.where(known.decided[:, None], 0.0, gain), probability)
