"""Kernel of several fidelities: latent processes on the candidates, mixed by a matrix.

cov(f_l(x), f_m(x')) = sum_q A_lq A_mq k_q(x, x')     (Alvarez, Rosasco and Lawrence 2012, 10.1561/2200000036, eq. 24)

Positive definite for any A with a non-zero diagonal, so correlations between fidelities may have either sign.
"""

import jax
import jax.numpy as jnp

from mfal.surrogate.kernels import AbstractPoolKernel, smooth_covariance
from mfal.types import Array, Float, Int


class Coregionalised(AbstractPoolKernel):
    """Covariance of f_l(x_i) without its level; point i L + l is candidate i at fidelity l.

    Attributes:
        features: descriptors of the pool, standardised.
        mixing: A.
        log_lengthscale: of each g_q.
        log_amplitude: of the smooth part of each g_q.
        log_individual: of the individual part of each g_q.
    """

    features: Float[Array, "n d"]
    mixing: Float[Array, "L L"]
    log_lengthscale: Float[Array, "L d"]
    log_amplitude: Float[Array, " L"]
    log_individual: Float[Array, " L"]

    def cross(self, rows: Int[Array, " r"], columns: Int[Array, " c"] | None = None) -> Float[Array, "r c"]:
        """Return the covariance between points."""
        levels, left = self.mixing.shape[0], self.mixing[rows % self.mixing.shape[0]]
        if columns is not None:
            latents = self._latents(rows // levels, columns // levels)
            return jnp.einsum("rq,cq,qrc->rc", left, self.mixing[columns % levels], latents)
        latents = self._latents(rows // levels, jnp.arange(self.features.shape[0]))
        return jnp.einsum("rq,lq,qrn->rnl", left, self.mixing, latents).reshape(rows.shape[0], -1)

    def diagonal(self) -> Float[Array, " points"]:
        """Return the prior variance of every point."""
        return jnp.tile(jnp.diagonal(self.own), self.features.shape[0])

    @property
    def own(self) -> Float[Array, "L L"]:
        """Prior covariance between the fidelities of one candidate."""
        variance = jnp.exp(2.0 * self.log_amplitude) + jnp.exp(2.0 * self.log_individual)
        return (self.mixing * variance) @ self.mixing.T

    def _latents(self, left: Int[Array, " r"], right: Int[Array, " c"]) -> Float[Array, "L r c"]:
        same = (left[:, None] == right) * 1.0

        def latent(log_lengthscale: Array, log_amplitude: Array, log_individual: Array) -> Array:
            smooth = smooth_covariance(self.features[left], self.features[right], log_lengthscale, log_amplitude)
            return smooth + jnp.exp(2.0 * log_individual) * same

        return jax.vmap(latent)(self.log_lengthscale, self.log_amplitude, self.log_individual)
