"""Kernels between candidates, built from GPJax kernels with unconstrained parameters."""

import jax.numpy as jnp
from gpjax.kernels import Matern52
from paramax import Parameterize

from mfal.types import Array, Float


def smooth_covariance(
    features: Float[Array, "n d"], log_lengthscale: Float[Array, ""], log_amplitude: Float[Array, ""]
) -> Float[Array, "n n"]:
    """Return the Matern-5/2 covariance of a pool; `log_amplitude` is that of the standard deviation.

    Source: Rasmussen and Williams 2006, eq. 4.17 (GPJax ``Matern52``).
    """
    kernel = Matern52(
        lengthscale=Parameterize(jnp.exp, log_lengthscale),
        variance=Parameterize(lambda value: jnp.exp(2.0 * value), log_amplitude),
    )
    return jnp.asarray(kernel.cross_covariance(features, features))
