"""Max-value entropy search: information (nats) that an answer gives about the best target value in the pool.

With f* the best value, g = (f* - mu_T) / s_T and rho the correlation of the answer with the candidate's own target
value, the answer's entropy falls by

    I = rho^2 g phi(g) / (2 Phi(g)) - log Phi(g) + E_u[w log w'],    w' = Phi((g - rho u) / sqrt(1 - rho^2))

under u ~ N(0, 1) with w = w' / Phi(g), averaged over samples of f* (Takeno et al. 2020, sec. 3, arXiv 1901.08275, whose
one-dimensional integral is E_u; noise lowers rho). With rho = 1 the integral vanishes and I is the single-fidelity
gain (Wang and Jegelka 2017, eq. 6, arXiv 1703.01968).
"""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import erfc
from jax.scipy.stats import norm

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
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

        def candidate(one: tuple[Array, Array, Array]) -> Float[Array, " L"]:
            gap = (best - one[0]) / jnp.where(one[1] > 0.0, one[1], 1.0)
            return jnp.mean(information(gap, one[2]), axis=1)

        size = max(1, _BATCH // (best.shape[0] * share.shape[1] * _NODES.size))
        gain = jax.lax.map(candidate, (centre, deviation, share), batch_size=min(size, share.shape[0]))
        probability = surpassing(posterior, known, self.target, self.sign)
        return Worth(jnp.where(known.decided[:, None], 0.0, gain), probability)


def information(gap: Float[Array, " count"], share: Float[Array, " L"]) -> Float[Array, "L count"]:
    """Return the information (nats) of answers about f_T <= f*.

    Args:
        gap: (f* - mean) / standard deviation of f_T, one for each f*.
        share: squared correlation of each answer with f_T.
    """
    gap, share = jnp.maximum(gap, _LOWEST)[None, :], share[:, None]
    below = _log_below(gap)
    slope = gap * norm.pdf(gap) * jnp.exp(-below)
    nats = 0.5 * share * slope - below + _expectation(gap, share)
    return jnp.where(share > 0.0, jnp.maximum(nats, 0.0), 0.0)


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)
# Array elements in flight: small enough for a processor's cache, large enough to keep an accelerator busy.
_BATCH = 2**22
# Six deviations: a best value further below a candidate's mean is a flaw of the samples, not news about the candidate.
_LOWEST = -6.0
# Where w' differs from 0 and 1 by enough to matter, and the reach of a normal variable, in deviations.
_DOWN, _UP, _REACH = 10.0, 6.5, 7.2


def _expectation(gap: Array, share: Array) -> Array:
    """Return E_u[w log w'], with the nodes where neither the density nor log w' is negligible."""
    rho, left = jnp.sqrt(jnp.maximum(share, 1e-16)), jnp.sqrt(1.0 - share)
    # Given f_T <= f*, f_T lies not far below f* or the mean, and u not far above its own mean given f_T = f*.
    floor, ceiling = -jnp.hypot(jnp.minimum(gap, 0.0), _REACH), jnp.minimum(rho * gap + _REACH * left, _REACH)
    low = jnp.clip((gap - _UP * left) / rho, floor, ceiling)
    high = jnp.clip((gap + _DOWN * left) / rho, low, ceiling)
    half = 0.5 * (high - low)[..., None]
    at = low[..., None] + half * (_NODES + 1.0)
    weight = _below((gap[..., None] - rho[..., None] * at) / jnp.maximum(left, 1e-12)[..., None])
    density = jnp.exp(-0.5 * at**2 - _log_below(gap)[..., None]) / np.sqrt(2.0 * np.pi)
    return jnp.sum(half * _WEIGHTS * density * weight * jnp.log(weight), axis=-1)


def _below(value: Array) -> Array:
    """Return Phi, exact down to 37 deviations below zero, where it stays."""
    upper = 0.5 * erfc(jnp.minimum(jnp.abs(value), 37.0) / np.sqrt(2.0))
    return jnp.where(value > 0.0, 1.0 - upper, upper)


def _log_below(value: Array) -> Array:
    """Return log Phi without loss in the upper tail."""
    return jnp.where(value > 0.0, jnp.log1p(-_below(-value)), jnp.log(_below(value)))
