"""Stiffness tensors in Mandel notation: conversion, rotation, plane problems and mean values.

Order 11, 22, 12 in the plane and 11, 22, 33, 23, 13, 12 in space, shear components of stress and strain both times
sqrt(2). In this basis, unlike in Voigt's, rotations are orthogonal matrices and eigenvalues are those of the tensor
(Mehrabadi and Cowin 1990, 10.1093/qjmam/43.1.15).
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

PAIRS = {2: ((0, 0), (1, 1), (0, 1)), 3: ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))}
# Components 11, 22, 12 of the three-dimensional order, and the others.
IN_PLANE, OUT_OF_PLANE = np.array([0, 1, 5]), np.array([2, 3, 4])


class VoigtReuss(NamedTuple):
    """Means of stiffness (Voigt) and of compliance (Reuss) by volume, both as stiffness of shape (m, m)."""

    voigt: Float[Array, "m m"]
    reuss: Float[Array, "m m"]


def basis(dimension: int) -> Float[np.ndarray, "m d d"]:
    """Return the orthonormal symmetric tensors E_a that Mandel components belong to: e_a = E_a : e."""
    tensors = np.zeros((len(PAIRS[dimension]), dimension, dimension))
    for row, (i, j) in enumerate(PAIRS[dimension]):
        tensors[row, i, j] = tensors[row, j, i] = 1.0 if i == j else np.sqrt(0.5)
    return tensors


def rotation_matrix(rotation: Float[Array, "*n d d"]) -> Float[Array, "*n m m"]:
    """Return Q with (R e R^T)_a = Q_ab e_b: Bond's matrix in Mandel notation, orthogonal."""
    tensors = basis(rotation.shape[-1])
    return jnp.einsum("aij,...ik,bkl,...jl->...ab", tensors, rotation, tensors, rotation)


def rotated(stiffness: Float[Array, "*#n m m"], rotation: Float[Array, "*#n d d"]) -> Float[Array, "*#n m m"]:
    """Return the stiffness of a crystal turned by `rotation`, which takes crystal axes to those of the sample."""
    matrix = rotation_matrix(rotation)
    return matrix @ stiffness @ jnp.swapaxes(matrix, -1, -2)


def planar_rotation(angle: Float[Array, "*n"]) -> Float[Array, "*n 2 2"]:
    """Return the rotation by an angle in radians, anticlockwise from the first axis towards the second."""
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([jnp.stack([cosine, -sine], -1), jnp.stack([sine, cosine], -1)], -2)


def from_voigt(stiffness: Float[Array, "*n m m"]) -> Float[Array, "*n m m"]:
    """Return Voigt's stiffness (order 11, 22, 33, 23, 13, 12, or 11, 22, 12) in Mandel notation."""
    weight = _shear_weight(stiffness.shape[-1])
    return stiffness * weight[:, None] * weight[None, :]


def to_voigt(stiffness: Float[Array, "*n m m"]) -> Float[Array, "*n m m"]:
    """Return a stiffness in Mandel notation in Voigt's, such as tables list it."""
    weight = _shear_weight(stiffness.shape[-1])
    return stiffness / (weight[:, None] * weight[None, :])


def plane_strain(stiffness: Float[Array, "*n 6 6"]) -> Float[Array, "*n 3 3"]:
    """Return the in-plane stiffness where nothing strains out of the plane."""
    return stiffness[..., IN_PLANE[:, None], IN_PLANE[None, :]]


def plane_stress(stiffness: Float[Array, "*n 6 6"]) -> Float[Array, "*n 3 3"]:
    """Return the in-plane stiffness where no stress acts out of the plane, as in a thin plate."""
    coupling = stiffness[..., IN_PLANE[:, None], OUT_OF_PLANE[None, :]]
    across = stiffness[..., OUT_OF_PLANE[:, None], OUT_OF_PLANE[None, :]]
    return plane_strain(stiffness) - coupling @ jnp.linalg.solve(across, jnp.swapaxes(coupling, -1, -2))


def voigt_reuss(stiffness: Float[Array, "n m m"], fractions: Float[Array, " n"]) -> VoigtReuss:
    """Return the bounds that hold for every arrangement of the phases: reuss <= effective <= voigt, as matrices."""
    voigt = jnp.tensordot(fractions, stiffness, 1)
    return VoigtReuss(voigt, jnp.linalg.inv(jnp.tensordot(fractions, jnp.linalg.inv(stiffness), 1)))


def excess(lower: Float[Array, "m m"], upper: Float[Array, "m m"]) -> Float[Array, ""]:
    """Return the smallest eigenvalue of upper - lower over the largest of upper: below zero, lower is no bound."""
    return jnp.linalg.eigvalsh(upper - lower)[0] / jnp.linalg.eigvalsh(upper)[-1]


def _shear_weight(components: int) -> Float[np.ndarray, " m"]:
    return np.where(np.arange(components) < (2 if components == 3 else 3), 1.0, np.sqrt(2.0))
