"""Descriptors of compositions by Aitchison's geometry of the simplex.

Distances between log-ratios do not depend on the scale or the order of the components, and never grow when a component
is left out (Aitchison 1986; Pawlowsky-Glahn, Egozcue and Tolosana-Delgado 2015, 10.1002/9781119003144). Coordinates
from here, or from any learnt embedding, go into a kernel of `kernels.py` as its features.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mfal.types import Array, Float


def closed(amounts: Float[Array, "... D"]) -> Float[Array, "... D"]:
    """Return amounts as fractions that sum to one."""
    return amounts / jnp.sum(amounts, axis=-1, keepdims=True)


def without_zeros(fractions: Float[Array, "... D"], smallest: float = 1e-3) -> Float[Array, "... D"]:
    """Return fractions with each zero replaced by `smallest`, the others scaled down so that the sum stays one.

    The ratios of the others are kept (multiplicative replacement, Martin-Fernandez et al. 2003,
    10.1023/A:1023866030544, who advise 0.65 of the detection limit). The choice matters: an absent component lies
    log(fraction / smallest) away.
    """
    absent = fractions <= 0.0
    kept = 1.0 - smallest * jnp.sum(absent, axis=-1, keepdims=True)
    return jnp.where(absent, smallest, closed(jnp.where(absent, 0.0, fractions)) * kept)


def centred_log_ratio(fractions: Float[Array, "... D"]) -> Float[Array, "... D"]:
    """Return log fractions less their mean: symmetric in the components, and summing to zero."""
    logarithms = jnp.log(fractions)
    return logarithms - jnp.mean(logarithms, axis=-1, keepdims=True)


def isometric_log_ratio(fractions: Float[Array, "... D"]) -> Float[Array, "... d"]:
    """Return coordinates in an orthonormal basis, one fewer than components (Egozcue 2003, 10.1023/A:1023818214614)."""
    return jnp.log(fractions) @ _basis(fractions.shape[-1]).T


def from_isometric_log_ratio(coordinates: Float[Array, "... d"]) -> Float[Array, "... D"]:
    """Return the fractions with these coordinates."""
    return jax.nn.softmax(coordinates @ _basis(coordinates.shape[-1] + 1), axis=-1)


def aitchison_distance(left: Float[Array, "... D"], right: Float[Array, "... D"]) -> Float[Array, "..."]:
    """Return the distance between compositions without zeros."""
    return jnp.linalg.norm(centred_log_ratio(left) - centred_log_ratio(right), axis=-1)


def _basis(components: int) -> Float[Array, "d D"]:
    """Return Helmert's rows, orthonormal and each summing to zero."""
    order = np.arange(1, components)[:, None]
    columns = np.arange(components)
    rows = np.where(columns < order, 1.0, np.where(columns == order, -1.0 * order, 0.0))
    return jnp.asarray(rows / np.sqrt(order * (order + 1.0)))
