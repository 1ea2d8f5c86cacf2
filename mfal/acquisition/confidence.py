"""Upper confidence bound over a pool: how far a candidate's best plausible value beats the best guaranteed one.

With high values best (the other case mirrors it) and U_i, L_i = mu_i +- sqrt(beta) s_i at the target (Srinivas et al.
2010, eq. 6, arXiv 0912.3995), the gain at a target free of noise is

    max(U_i - max_j L_j, 0)

that is, UCB shifted so that zero means "cannot be the best at this confidence", the elimination rule of
confidence-bound algorithms (Even-Dar et al. 2006). The shift is one number, so the ranking is UCB's.

MF-GP-UCB (Kandasamy et al. 2016, arXiv 1603.06288) asks a cheap source while it still narrows the bound and bounds its
bias by hand. The joint belief knows bias and correlation, so here an answer at fidelity l is worth that excess times
the share of the target's variance that it takes away. The gain is in the property's unit.
"""

from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.acquisition.marginal import explained_share, surpassing
from mfal.surrogate.base import Posterior
from mfal.types import Array, Float, PRNGKeyArray


class ConfidenceBound(AbstractAcquisition):
    """Excess of the optimistic bound over the best guaranteed value.

    Attributes:
        beta: squared width of the bound in standard deviations.
        noise_variance: of one answer at each fidelity, unit squared.
        sign: +1 if low values are best, -1 if high ones are.
        target: index of the target fidelity.
    """

    in_eur: ClassVar[bool] = False

    beta: Float[Array, ""]
    noise_variance: Float[Array, " L"]
    sign: Float[Array, ""]
    target: int = eqx.field(static=True)

    def __call__(self, posterior: Posterior, known: Known, key: PRNGKeyArray) -> Worth:
        """Return gains in the property's unit and the probability of beating the best known answer."""
        centre = -self.sign * posterior.mean[:, self.target]
        width = jnp.sqrt(self.beta * posterior.variance[:, self.target])
        guaranteed = jnp.max(jnp.where(known.closed, -jnp.inf, centre - width))
        excess = jnp.maximum(centre + width - guaranteed, 0.0)
        gain = excess[:, None] * explained_share(posterior, self.target, self.noise_variance)
        probability = surpassing(posterior, known, self.target, self.sign)
        return Worth(jnp.where(known.decided[:, None], 0.0, gain), probability)
