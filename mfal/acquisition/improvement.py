"""Expected improvement at the target, and its augmented form for all other sources of answers.

With d = f_best - mu_T(i) and s the target's standard deviation, EI(i) = d Phi(d/s) + s phi(d/s) (Jones, Schonlau and
Welch 1998, eq. 15, 10.1023/A:1008306431147). An answer at fidelity l is worth

    EI(i) |corr(f_l(i), f_T(i))| (1 - sd(noise_l) / sd(y_l(i)))

(Huang, Allen, Notz and Miller 2006, alpha_1 and alpha_2, 10.1007/s00158-005-0587-0; their alpha_3, the price, is the
policy's). At a target free of noise both factors are one. The gain is in the property's unit.
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.scipy.stats import norm

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.marginal import explained_share, incumbent, surpassing
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray


class ExpectedImprovement(AbstractAcquisition):
    """Augmented expected improvement on the best known answer.

    Attributes:
        noise_variance: of one answer at each fidelity, unit squared.
        sign: +1 if low values are best, -1 if high ones are.
        target: index of the target fidelity.
    """

    in_eur: ClassVar[bool] = False

    noise_variance: Float[Array, " L"]
    sign: Float[Array, ""]
    target: int = eqx.field(static=True)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in the property's unit and the probability of beating the best known answer."""
        lead = incumbent(posterior, known, self.target, self.sign) - self.sign * posterior.mean[:, self.target]
        gain = expected_improvement(lead, jnp.sqrt(posterior.variance[:, self.target]))
        gain = gain[:, None] * self._discount(posterior)
        probability = surpassing(posterior, known, self.target, self.sign)
        return Worth(jnp.where(known.decided[:, None], 0.0, gain), probability)

    def _discount(self, posterior: Posterior) -> Float[Array, "n L"]:
        correlation = jnp.sqrt(explained_share(posterior, self.target, jnp.zeros_like(self.noise_variance)))
        answer = posterior.variance + self.noise_variance
        fresh = 1.0 - jnp.sqrt(self.noise_variance / jnp.where(answer > 0.0, answer, 1.0))
        return correlation * fresh


def expected_improvement(lead: Float[Array, " n"], deviation: Float[Array, " n"]) -> Float[Array, " n"]:
    """Return E[max(lead + deviation Z, 0)] of a standard normal Z."""
    uncertain = deviation > 0.0
    ratio = lead / jnp.where(uncertain, deviation, 1.0)
    # The lead, not deviation times ratio: a ratio beyond the largest float would make the gain infinite.
    value = lead * norm.cdf(ratio) + deviation * norm.pdf(ratio)
    # Far below the best the two terms cancel, and rounding can leave less than nothing.
    return jnp.maximum(jnp.where(uncertain, value, lead), 0.0)
