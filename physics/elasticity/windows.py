"""Apparent stiffness of a window under uniform displacement or uniform traction, bounds of the effective one.

C_SUBC <= C_eff <= C_KUBC for a representative window (Huet 1990, 10.1016/0022-5096(90)90041-2; Hazanov and Huet 1994,
10.1016/0022-5096(94)90022-1). Among displacement elements uniform traction is the least that a mean strain can cost, so
the order also holds between the discrete values of one mesh.
"""

import numpy as np
import scipy.sparse
from jaxtyping import Float
from scipy.sparse.linalg import SuperLU, splu

from physics.elasticity.finite_elements import Mesh


def displacement_controlled(mesh: Mesh, stiffness: Float[np.ndarray, "cells m m"]) -> Float[np.ndarray, "m m"]:
    """Return C_KUBC, Mandel: the boundary moves as in a uniform strain."""
    matrix, volume = mesh.assemble(stiffness), np.prod(mesh.cells)
    moved = np.stack([mesh.affine(strain) for strain in np.eye(stiffness.shape[1])], axis=1)
    free = np.flatnonzero(~mesh.on_boundary)
    if free.size:
        moved[free] -= _factorised(matrix, free).solve((matrix @ moved)[free])
    return _symmetric(moved.T @ (matrix @ moved)) / volume


def traction_controlled(mesh: Mesh, stiffness: Float[np.ndarray, "cells m m"]) -> Float[np.ndarray, "m m"]:
    """Return C_SUBC, Mandel: the boundary is pulled as in a uniform stress."""
    matrix, volume = mesh.assemble(stiffness), np.prod(mesh.cells)
    free = np.setdiff1d(np.arange(mesh.unknowns), _held(mesh))
    # The force of a uniform stress on the nodes is the transpose of the integral of the strain.
    force = mesh.mean_strain()[:, free].T.toarray()
    moved = _factorised(matrix, free).solve(force)
    return np.linalg.inv(_symmetric(force.T @ moved)) * volume


def _factorised(matrix: scipy.sparse.csr_array, kept: np.ndarray) -> SuperLU:
    # Positive definite: no pivots needed, and a symmetric order fills less.
    options = {"SymmetricMode": True}
    part = matrix[kept][:, kept].tocsc()
    return splu(part, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)


def _held(mesh: Mesh) -> np.ndarray:
    """Return the unknowns to hold against rigid motion: all of a corner, and what turns it."""
    last = np.array([int(np.prod(mesh.nodes[axis + 1 :])) for axis in range(mesh.dimension)])
    first_end, second_end = (n * s for n, s in zip(mesh.cells[:2], last[:2], strict=True))
    if mesh.dimension == 2:
        return np.array([0, 1, 2 * first_end + 1])
    return np.array([0, 1, 2, 3 * first_end + 1, 3 * first_end + 2, 3 * second_end + 2])


def _symmetric(matrix: Float[np.ndarray, "m m"]) -> Float[np.ndarray, "m m"]:
    return 0.5 * (matrix + matrix.T)
