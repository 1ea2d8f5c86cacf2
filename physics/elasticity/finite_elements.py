"""Bilinear and trilinear finite elements on a regular grid of cells, one stiffness a cell.

Nodes are the corners of the cells, numbered with the last axis fastest; an unknown is a node's displacement along one
axis, numbered with the axis fastest.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int

from physics.elasticity.errors import ElasticityError
from physics.elasticity.tensor import PAIRS, basis

_GAUSS = (0.5 - np.sqrt(1.0 / 12.0), 0.5 + np.sqrt(1.0 / 12.0))


@dataclass(frozen=True)
class Mesh:
    """A grid of square or cubic cells of edge one.

    Lengths are in cells: with cells of edge h and displacements in the same unit, strains are those of the displacement
    over h, and forces per thickness those returned times h (in the plane) or h^2 (in space).

    Attributes:
        cells: how many along each axis.
    """

    cells: tuple[int, ...]

    def __post_init__(self) -> None:
        """Refuse what is no grid."""
        if len(self.cells) not in PAIRS or min(self.cells) < 1:
            raise ElasticityError(f"{self.cells=}: two or three axes of at least one cell")

    @property
    def dimension(self) -> int:
        """Of space."""
        return len(self.cells)

    @property
    def nodes(self) -> tuple[int, ...]:
        """How many nodes there are along each axis."""
        return tuple(n + 1 for n in self.cells)

    @property
    def unknowns(self) -> int:
        """How many displacements there are."""
        return int(np.prod(self.nodes)) * self.dimension

    @cached_property
    def cell_unknowns(self) -> Int[np.ndarray, "cells k"]:
        """Unknowns of each cell: corner by corner, axis fastest."""
        number = np.arange(int(np.prod(self.nodes))).reshape(self.nodes)
        corners = [
            number[tuple(slice(s, s + n) for s, n in zip(corner, self.cells, strict=True))].ravel()
            for corner in _corners(self.dimension)
        ]
        return (np.stack(corners, -1)[..., None] * self.dimension + np.arange(self.dimension)).reshape(
            len(corners[0]), -1
        )

    @cached_property
    def on_boundary(self) -> np.ndarray:
        """Whether an unknown belongs to a node of the boundary, shape (unknowns,)."""
        inner = np.zeros(self.nodes, dtype=bool)
        inner[(slice(1, -1),) * self.dimension] = True
        return np.repeat(~inner.ravel(), self.dimension)

    def assemble(self, stiffness: Float[np.ndarray, "cells m m"]) -> scipy.sparse.csr_array:
        """Return the matrix from displacements to the forces that hold them, for a stiffness in each cell."""
        local = np.einsum("nij,ijkl->nkl", stiffness, cell_integrals(self.dimension))
        size = local.shape[1]
        rows = np.repeat(self.cell_unknowns, size, axis=1).ravel()
        columns = np.tile(self.cell_unknowns, (1, size)).ravel()
        entries = (local.ravel(), (rows, columns))
        return scipy.sparse.coo_array(entries, shape=(self.unknowns, self.unknowns)).tocsr()

    def mean_strain(self) -> scipy.sparse.csr_array:
        """Return the matrix from displacements to the Mandel strain integrated over all cells, shape (m, unknowns)."""
        per_cell = np.mean([_gradient(point, self.dimension) for point in _points(self.dimension)], axis=0)
        rows = np.broadcast_to(np.arange(len(per_cell))[:, None, None], (len(per_cell), *self.cell_unknowns.shape))
        columns = np.broadcast_to(self.cell_unknowns, rows.shape)
        values = np.broadcast_to(per_cell[:, None, :], rows.shape)
        entries = (values.ravel(), (rows.ravel(), columns.ravel()))
        return scipy.sparse.coo_array(entries, shape=(len(per_cell), self.unknowns)).tocsr()

    def affine(self, strain: Float[np.ndarray, " m"]) -> Float[np.ndarray, " unknowns"]:
        """Return the displacements of a uniform Mandel strain."""
        gradient = np.einsum("a,aij->ij", strain, basis(self.dimension))
        places = np.stack(np.meshgrid(*[np.arange(n, dtype=float) for n in self.nodes], indexing="ij"), -1)
        return (places @ gradient).ravel()


def cell_integrals(dimension: int) -> Float[np.ndarray, "m m k k"]:
    """Return the integrals of B_i^T B_j over a cell of edge one: its stiffness is sum_ij C_ij times the ij-th."""
    gradients = [_gradient(point, dimension) for point in _points(dimension)]
    return np.mean([np.einsum("ik,jl->ijkl", one, one) for one in gradients], axis=0)


def _corners(dimension: int) -> list[tuple[int, ...]]:
    return list(product((0, 1), repeat=dimension))


def _points(dimension: int) -> list[tuple[float, ...]]:
    """Return Gauss's two points along each axis, which integrate products of these gradients exactly."""
    return list(product(_GAUSS, repeat=dimension))


def _gradient(point: tuple[float, ...], dimension: int) -> Float[np.ndarray, "m k"]:
    """Return the Mandel strain at a point of a cell of edge one, from the displacements of its corners."""
    columns = []
    for corner in _corners(dimension):
        shape = [x if side else 1.0 - x for x, side in zip(point, corner, strict=True)]
        slopes = [
            (1.0 if corner[axis] else -1.0) * np.prod(shape[:axis] + shape[axis + 1 :]) for axis in range(dimension)
        ]
        columns += list(np.einsum("aij,j->ia", basis(dimension), np.array(slopes)))
    return np.array(columns).T
