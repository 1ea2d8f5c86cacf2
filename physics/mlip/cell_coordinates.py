"""Coordinates in which positions and cell relax together: undeformed positions and the logarithm of the deformation.

With the first cell ``C`` and the deformation ``F = exp(L)``, cells are ``C F^T`` and positions ``x F^T``; coordinates
are ``x`` and ``atoms x L``. ASE's FrechetCellFilter has the same, so that equal steps lead to equal minima.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from physics.mlip.fire import Velocities
from physics.mlip.neighbours import inverse, matrix_product, to_cartesian

TERMS = 14  # of the exponential: exact to single precision up to a logarithm of 2


def exponential(matrices: Float[Array, "structures 3 3"]) -> Float[Array, "structures 3 3"]:
    """Return matrix exponentials by their power series."""
    unit = jnp.broadcast_to(jnp.eye(3, dtype=matrices.dtype), matrices.shape)
    total = unit
    for order in range(TERMS, 0, -1):
        total = unit + matrix_product(matrices, total) / order
    return total


def forces_on_coordinates(
    forces: Float[Array, "atoms 3"],
    virials: Float[Array, "structures 3 3"],
    strain: Float[Array, "structures 3 3"],
    owner: Int[Array, " atoms"],
    counts: Float[Array, " structures"],
) -> Velocities:
    """Return forces on the coordinates, eV/angstrom.

    Args:
        forces: on the positions.
        virials: ``-volume x stress``, symmetric, eV; zero where the cell does not move.
        strain: logarithm of the deformation.
        owner: structure of each atom; padding has the number of structures.
        counts: atoms of each structure.
    """
    deformation, pull_back = jax.vjp(exponential, strain)
    (on_strain,) = pull_back(matrix_product(virials, _transposed(inverse(deformation))))
    own = deformation[jnp.minimum(owner, counts.shape[0] - 1)]
    return Velocities(to_cartesian(forces, own), on_strain / counts[:, None, None])


def moved(
    fractional: Float[Array, "atoms 3"],
    first_cells: Float[Array, "structures 3 3"],
    strain: Float[Array, "structures 3 3"],
    taken: Velocities,
    owner: Int[Array, " atoms"],
    counts: Float[Array, " structures"],
) -> tuple[Float[Array, "atoms 3"], Float[Array, "structures 3 3"], Float[Array, "structures 3 3"]]:
    """Return fractional positions, cells and strain after a step of the coordinates."""
    own = inverse(first_cells)[jnp.minimum(owner, counts.shape[0] - 1)]
    strain = strain + taken.cells / counts[:, None, None]
    cells = matrix_product(first_cells, _transposed(exponential(strain)))
    return fractional + to_cartesian(taken.atoms, own), cells, strain


def _transposed(matrices: Float[Array, "structures 3 3"]) -> Float[Array, "structures 3 3"]:
    return matrices.transpose(0, 2, 1)
