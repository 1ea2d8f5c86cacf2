"""Bounds for a mixture of isotropic phases that is isotropic itself.

K(z) = <1 / (K + a z)>^-1 - a z with z the extreme shear modulus, and G(w) = <1 / (G + w)>^-1 - w
(Hashin and Shtrikman 1963, 10.1016/0022-5096(63)90060-7; for phases that are not ordered alike, Walpole 1966,
10.1016/0022-5096(66)90035-4; in the plane Hashin 1965, 10.1016/0022-5096(65)90015-3).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class IsotropicBounds(NamedTuple):
    """Lowest and highest bulk and shear modulus, units of the phases'."""

    bulk_low: Float[Array, ""]
    bulk_high: Float[Array, ""]
    shear_low: Float[Array, ""]
    shear_high: Float[Array, ""]


def hashin_shtrikman(
    bulk: Float[Array, " n"], shear: Float[Array, " n"], fractions: Float[Array, " n"], dimension: int
) -> IsotropicBounds:
    """Return the bounds of an isotropic mixture; in the plane, `bulk` is that of plane strain, lambda + mu."""
    low = _mixture(bulk, shear, fractions, (jnp.min(bulk), jnp.min(shear)), dimension)
    high = _mixture(bulk, shear, fractions, (jnp.max(bulk), jnp.max(shear)), dimension)
    return IsotropicBounds(low[0], high[0], low[1], high[1])


def _mixture(
    bulk: Float[Array, " n"],
    shear: Float[Array, " n"],
    fractions: Float[Array, " n"],
    extreme: tuple[Float[Array, ""], Float[Array, ""]],
    dimension: int,
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    extreme_bulk, extreme_shear = extreme
    against_bulk = 2.0 * (dimension - 1) / dimension * extreme_shear
    if dimension == 2:
        against_shear = extreme_bulk * extreme_shear / (extreme_bulk + 2.0 * extreme_shear)
    else:
        ratio = (9.0 * extreme_bulk + 8.0 * extreme_shear) / (extreme_bulk + 2.0 * extreme_shear)
        against_shear = extreme_shear * ratio / 6.0
    return _shifted(bulk, fractions, against_bulk), _shifted(shear, fractions, against_shear)


def _shifted(moduli: Float[Array, " n"], fractions: Float[Array, " n"], by: Float[Array, ""]) -> Float[Array, ""]:
    return 1.0 / jnp.sum(fractions / (moduli + by)) - by
