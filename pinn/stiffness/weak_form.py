"""Weak equilibrium of displacements that are given at all nodes, with test functions as wide as half a grain.

A test function of one node sees second differences of the displacements, in which the errors of a network along the
boundaries of grains are largest; a tent over half a grain averages over them. For a test function v and a stiffness C
the residual is v^T K(C) u; tents are products of tents along the axes and vanish on the edge of the window.
"""

from functools import reduce
from typing import final

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from physics.elasticity.finite_elements import Mesh, cell_integrals
from physics.elasticity.tensor import PAIRS
from pinn.stiffness.equilibrium import Equilibrium

# Of the edge of a cube as large as the mean grain.
_WIDTH = 0.45


@final
class WeakForm(eqx.Module):
    """Forces of displacements, and what equilibrium and load cells ask of them.

    Displacements are in cells, forces in the unit of stiffness times cells (in space: times their square).

    Attributes:
        grains: of each cell.
        fractions: volume of each grain.
        cells: unknowns of each cell.
        integrals: of the products of its shape functions' gradients.
        tents: along each axis of space; together of a size that makes white noise of displacements of variance one
            leave a residual of variance one in a solid of unit stiffness.
        faces: what sums nodal forces to those on measured faces.
        loads: under which these were measured.
        nodes: along each axis.
    """

    grains: Int[Array, " cells"]
    fractions: Float[Array, " grains"]
    cells: Int[Array, "cells k"]
    integrals: Float[Array, "m m k k"]
    tents: tuple[Float[Array, "tents nodes"], ...]
    faces: Float[Array, "forces unknowns"]
    loads: Int[Array, " forces"]
    nodes: tuple[int, ...] = eqx.field(static=True)

    @property
    def dimension(self) -> int:
        """Of space."""
        return len(self.nodes)

    def residuals(self, loads: int) -> int:
        """Return how many residuals there are."""
        return int(np.prod([len(tents) for tents in self.tents])) * self.dimension * loads

    def imbalance(
        self, displacements: Float[Array, "unknowns loads"], stiffness: Float[Array, "grains m m"]
    ) -> Float[Array, " residuals"]:
        """Return the residuals of all test functions, axes and loads, for the stiffness over its mean.

        Without that mean, nothing would be out of balance where all stiffness ran to zero.
        """
        mean = jnp.mean(jnp.diagonal(jnp.tensordot(self.fractions, stiffness, 1)))
        left = self._nodal(displacements, stiffness / mean).reshape(*self.nodes, -1)
        for axis, tents in enumerate(self.tents):
            left = jnp.moveaxis(jnp.tensordot(tents, left, (1, axis)), 0, axis)
        return left.ravel()

    def face_forces(
        self, displacements: Float[Array, "unknowns loads"], stiffness: Float[Array, "grains m m"]
    ) -> Float[Array, " forces"]:
        """Return the forces on the measured faces."""
        return jnp.sum(self.faces * self._nodal(displacements, stiffness).T[self.loads], axis=1)

    def _nodal(
        self, displacements: Float[Array, "unknowns loads"], stiffness: Float[Array, "grains m m"]
    ) -> Float[Array, "unknowns loads"]:
        local = jnp.einsum("gij,ijkl->gkl", stiffness, self.integrals)[self.grains]
        forces = jnp.einsum("nkl,nlc->nkc", local, displacements[self.cells])
        return jnp.zeros_like(displacements).at[self.cells].add(forces)


def weak_form(equilibrium: Equilibrium) -> WeakForm:
    """Return the weak form of a window with its measured forces."""
    grain_map, mesh = equilibrium.fields.grain_map, equilibrium.mesh
    rows = [
        (load, observed.balance[[observed.equations - observed.forces + number]].toarray()[0])
        for load, observed in enumerate(equilibrium.observed)
        for number in range(observed.forces)
    ]
    return WeakForm(
        jnp.asarray(grain_map.ravel()),
        jnp.asarray(np.bincount(grain_map.ravel()) / grain_map.size),
        jnp.asarray(mesh.cell_unknowns),
        jnp.asarray(cell_integrals(mesh.dimension)),
        _tents(mesh, int(grain_map.max()) + 1),
        jnp.asarray(np.array([row for _, row in rows]).reshape(-1, mesh.unknowns)),
        jnp.asarray(np.array([load for load, _ in rows], dtype=int)),
        mesh.nodes,
    )


def _tents(mesh: Mesh, grains: int) -> tuple[Float[Array, "tents nodes"], ...]:
    """Return values of the tents at the nodes along each axis."""
    dimension = mesh.dimension
    wanted = round(_WIDTH * float(np.prod(mesh.cells) / grains) ** (1.0 / dimension))
    width = int(np.clip(wanted, 1, min(mesh.cells) // 2))
    step = max(width // 2, 1)
    tents = []
    for count in mesh.nodes:
        middles = np.arange(width, count - width, step)
        tents.append(np.maximum(1.0 - np.abs(np.arange(count) - middles[:, None]) / width, 0.0))
    first = np.zeros((*mesh.nodes, dimension))
    first[..., 0] = reduce(np.multiply.outer, [one[0] for one in tents])
    unit = np.broadcast_to(np.eye(len(PAIRS[dimension])), (int(np.prod(mesh.cells)), *[len(PAIRS[dimension])] * 2))
    size = float(np.linalg.norm(mesh.assemble(unit) @ first.ravel())) ** (1.0 / dimension)
    return tuple(jnp.asarray(one / size) for one in tents)
