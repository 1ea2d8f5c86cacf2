"""Stiffness of a symmetry class from free numbers: C = sum_b sum_c Q_bc L_b L_b^T Q_bc^T, positive definite always.

A class splits the space of strains into subspaces that no stiffness of the class couples. A block is one of them with
its copies, which share one stiffness: the five shears of an isotropic solid, say. Within a block the Cholesky factor
is L = U exp(diagonal), U unit lower triangular: multiplying C by exp(2 s) adds s to every logarithm and nothing else.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physics.elasticity.errors import ElasticityError

_HALF, _THIRD, _SIXTH = np.sqrt(1.0 / 2.0), np.sqrt(1.0 / 3.0), np.sqrt(1.0 / 6.0)


@dataclass(frozen=True)
class SymmetryClass:
    """What one class of crystals allows.

    Attributes:
        name: "isotropic", "cubic", "hexagonal" or "triclinic".
        dimension: of space, 2 or 3.
        blocks: for each block the bases of its copies, shape (copies, m, size).
        constants: independent constants as (symbol, row, column) of Voigt's matrix, crystal axes.
    """

    name: str
    dimension: int
    blocks: tuple[np.ndarray, ...]
    constants: tuple[tuple[str, int, int], ...]

    @property
    def size(self) -> int:
        """How many free numbers there are."""
        return sum(_numbers(block) for block in self.blocks)

    @property
    def logarithmic(self) -> np.ndarray:
        """Which of the free numbers are logarithms, to which a change of scale is added; shape (size,)."""
        rows = [np.arange(_numbers(block)) < block.shape[2] for block in self.blocks]
        return np.concatenate(rows)

    def stiffness(self, parameters: Float[Array, " p"]) -> Float[Array, "m m"]:
        """Return the Mandel stiffness of free numbers, unit exp(2 parameter)."""
        total, start = 0.0, 0
        for block in self.blocks:
            factor = _factor(parameters[start : start + _numbers(block)], block.shape[2])
            bases = block @ factor
            total += jnp.einsum("cik,cjk->ij", bases, bases)
            start += _numbers(block)
        return jnp.asarray(total)

    def parameters(self, stiffness: Float[Array, "m m"]) -> Float[Array, " p"]:
        """Return the free numbers of a Mandel stiffness, or of its nearest neighbour in the class."""
        found = []
        for block in self.blocks:
            factor = jnp.linalg.cholesky(jnp.einsum("cik,ij,cjl->kl", block, stiffness, block) / len(block))
            diagonal = jnp.diagonal(factor)
            found += [jnp.log(diagonal), (factor / diagonal)[np.tril_indices(block.shape[2], -1)]]
        return jnp.concatenate(found)


def symmetry_class(name: str, dimension: int) -> SymmetryClass:
    """Return a class by name; hexagonal has its c axis along the last axis, also in the plane.

    Raises:
        ElasticityError: no such class.
    """
    if (name, dimension) not in _CLASSES:
        known = sorted({known for known, _ in _CLASSES})
        raise ElasticityError(f"symmetry {name=} in {dimension=}: there are {known}, in 2 and 3 dimensions")
    blocks, constants = _CLASSES[name, dimension]
    named = tuple((f"C{i}{j}", _voigt_row(i, dimension), _voigt_row(j, dimension)) for i, j in constants)
    return SymmetryClass(name, dimension, tuple(np.asarray(block, dtype=float) for block in blocks), named)


def _numbers(block: np.ndarray) -> int:
    return block.shape[2] * (block.shape[2] + 1) // 2


def _factor(numbers: Float[Array, " p"], size: int) -> Float[Array, "k k"]:
    unit = jnp.eye(size).at[np.tril_indices(size, -1)].set(numbers[size:])
    return unit * jnp.exp(numbers[:size])


def _voigt_row(digit: int, dimension: int) -> int:
    # Tables call the shear of the plane 66 in both dimensions.
    return 2 if dimension == 2 and digit == 6 else digit - 1


def _column(*vectors: tuple[float, ...]) -> np.ndarray:
    return np.asarray(vectors, dtype=float)[:, :, None]


_PLANE_HYDROSTATIC = _column((_HALF, _HALF, 0))
_PLANE_DEVIATOR, _PLANE_SHEAR = (_HALF, -_HALF, 0), (0, 0, 1)
_HYDROSTATIC = _column((_THIRD, _THIRD, _THIRD, 0, 0, 0))
_DEVIATORS = ((_HALF, -_HALF, 0, 0, 0, 0), (-_SIXTH, -_SIXTH, 2 * _SIXTH, 0, 0, 0))
_SHEARS = ((0, 0, 0, 1, 0, 0), (0, 0, 0, 0, 1, 0), (0, 0, 0, 0, 0, 1))
_AXIAL = np.array([[[_HALF, 0], [_HALF, 0], [0, 1], [0, 0], [0, 0], [0, 0]]])
_UPPER = [(i, j) for i in range(1, 7) for j in range(i, 7)]
_CLASSES = {
    ("isotropic", 2): ((_PLANE_HYDROSTATIC, _column(_PLANE_DEVIATOR, _PLANE_SHEAR)), ((1, 1), (6, 6))),
    ("cubic", 2): ((_PLANE_HYDROSTATIC, _column(_PLANE_DEVIATOR), _column(_PLANE_SHEAR)), ((1, 1), (1, 2), (6, 6))),
    ("hexagonal", 2): ((np.eye(3)[None, :, :2], _column(_PLANE_SHEAR)), ((1, 1), (2, 2), (1, 2), (6, 6))),
    ("triclinic", 2): ((np.eye(3)[None],), ((1, 1), (2, 2), (1, 2), (1, 6), (2, 6), (6, 6))),
    ("isotropic", 3): ((_HYDROSTATIC, _column(*_DEVIATORS, *_SHEARS)), ((1, 1), (4, 4))),
    ("cubic", 3): ((_HYDROSTATIC, _column(*_DEVIATORS), _column(*_SHEARS)), ((1, 1), (1, 2), (4, 4))),
    ("hexagonal", 3): (
        (_AXIAL, _column(_DEVIATORS[0], _SHEARS[2]), _column(*_SHEARS[:2])),
        ((1, 1), (1, 2), (1, 3), (3, 3), (4, 4)),
    ),
    ("triclinic", 3): ((np.eye(6)[None],), tuple(_UPPER)),
}
