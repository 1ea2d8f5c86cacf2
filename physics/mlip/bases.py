"""The functions in which CHGNet expands distances and angles."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def bessel(
    lengths: Float[Array, " bonds"], frequencies: Float[Array, " radial"], cutoff_a: float, exponent: int
) -> Float[Array, "bonds radial"]:
    """Expand distances in sine waves under an envelope that vanishes at the cutoff with two derivatives.

    Gasteiger, Groß and Günnemann, ICLR 2020, equations 7 and 8.

    Args:
        lengths: angstrom, positive.
        frequencies: about multiples of pi.
        cutoff_a: angstrom.
        exponent: p of the envelope.
    """
    p, x = exponent, lengths / cutoff_a
    polynomial = 1 - (p + 1) * (p + 2) / 2 * x**p + p * (p + 2) * x ** (p + 1) - p * (p + 1) / 2 * x ** (p + 2)
    radial = jnp.where(x < 1, polynomial, 0) * (2 / cutoff_a) ** 0.5 / lengths
    return radial[:, None] * jnp.sin(frequencies * x[:, None])


def fourier(angle: Float[Array, " angles"], frequencies: Float[Array, " harmonics"]) -> Float[Array, "angles angular"]:
    """Expand angles, radian, in a constant, sines and cosines (Deng et al. 2023, equation 1)."""
    phases = angle[:, None] * frequencies
    constant = jnp.full_like(angle[:, None], 0.5**0.5)
    return jnp.concatenate([constant, jnp.sin(phases), jnp.cos(phases)], axis=1) / np.pi**0.5
