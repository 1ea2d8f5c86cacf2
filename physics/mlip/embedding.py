"""Encoders of structures, and how far an encoder depends on what a crystal does not: the choice of its description."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from physics.mlip.potential import Potential, Prediction

if TYPE_CHECKING:
    from ase import Atoms

Encoder = Callable[[Sequence["Atoms"]], np.ndarray]  # structures to vectors, shape (structures, features)
DRAWS = 3  # of each transformation
TOLERANCE = 1e-4  # float32 leaves 1e-6, a component that turns with the crystal 1e-2 (MACE) and more


class EncodingError(ValueError):
    """A structure has no embedding, or one that says nothing."""


@dataclass(frozen=True)
class Invariance:
    """Largest relative deviation ``|e' - e| / |e|`` of an embedding under each change of description.

    Attributes:
        supercell: several cells instead of one.
        rotation: of the crystal in space.
        inversion: mirror image.
        origin: shift of all atoms, wrapped into the cell again.
        permutation: other order of the atoms.
        basis: sheared cell of the same lattice.
    """

    supercell: float
    rotation: float
    inversion: float
    origin: float
    permutation: float
    basis: float

    def broken(self, tolerance: float = TOLERANCE) -> tuple[str, ...]:
        """Return the changes under which the embedding differs by more than the tolerance, or is not finite."""
        return tuple(name for name, deviation in asdict(self).items() if not deviation <= tolerance)


def embeddings(potential: Potential) -> Encoder:
    """Return the encoder by a potential's own features, means over the atoms.

    The encoder raises an EncodingError for a structure that the potential refuses, and if it has no features.
    """

    def encode(structures: Sequence["Atoms"]) -> np.ndarray:
        rows = []
        for index, answer in enumerate(potential.predict(structures)):
            if not isinstance(answer, Prediction):
                raise EncodingError(f"{potential.label} refuses structure {index}: {answer.reason}")
            if answer.embedding is None:
                raise EncodingError(f"{potential.label} has no embeddings; encode with CHGNet, MACE or the composition")
            rows.append(answer.embedding)
        return np.array(rows)

    return encode


def invariance(encoder: Encoder, atoms: "Atoms", rng: np.random.Generator) -> Invariance:
    """Measure how far an encoder depends on the description of a crystal.

    Args:
        encoder: to be examined; called once, with all descriptions.
        atoms: a crystal without symmetry shows the most: a mirror image differs from a rotated one only there.
        rng: draws the descriptions.

    Raises:
        EncodingError: the embedding of the crystal itself is zero or not finite.
    """
    changes = {
        "supercell": _supercell,
        "rotation": _rotated,
        "inversion": _inverted,
        "origin": _shifted,
        "permutation": _permuted,
        "basis": _sheared,
    }
    others = [change(atoms, rng) for change in changes.values() for _ in range(DRAWS)]
    first, *rest = np.asarray(encoder([atoms, *others]), float)
    size = np.linalg.norm(first)
    if not (np.isfinite(size) and size > 0):
        raise EncodingError(f"the embedding of {atoms.get_chemical_formula()!r} has {size=}: it says nothing")
    deviations = np.linalg.norm(np.array(rest) - first, axis=1).reshape(len(changes), DRAWS).max(1) / size
    return Invariance(**dict(zip(changes, deviations.tolist(), strict=True)))


def _supercell(atoms: "Atoms", rng: np.random.Generator) -> "Atoms":
    repeats = rng.permutation([2, int(rng.integers(1, 3)), 1])
    return atoms.repeat(tuple(repeats.tolist()))


def _rotated(atoms: "Atoms", rng: np.random.Generator) -> "Atoms":
    from scipy.spatial.transform import Rotation

    return _turned(atoms, Rotation.random(rng=rng).as_matrix())


def _inverted(atoms: "Atoms", rng: np.random.Generator) -> "Atoms":
    del rng
    return _turned(atoms, -np.eye(3))


def _turned(atoms: "Atoms", matrix: np.ndarray) -> "Atoms":
    turned = atoms.copy()
    turned.set_cell(atoms.cell.array @ matrix.T)
    turned.positions = atoms.positions @ matrix.T
    return turned


def _shifted(atoms: "Atoms", rng: np.random.Generator) -> "Atoms":
    shifted = atoms.copy()
    shifted.positions += rng.uniform(-1, 1, 3) @ atoms.cell.array
    shifted.wrap()
    return shifted


def _permuted(atoms: "Atoms", rng: np.random.Generator) -> "Atoms":
    return atoms[rng.permutation(len(atoms))]


def _sheared(atoms: "Atoms", rng: np.random.Generator) -> "Atoms":
    # an integer matrix of determinant 1 keeps the lattice
    lower, upper = np.tril(rng.integers(-2, 3, (3, 3)), -1), np.triu(rng.integers(-2, 3, (3, 3)), 1)
    sheared = atoms.copy()
    sheared.set_cell((np.eye(3) + lower) @ (np.eye(3) + upper) @ atoms.cell.array)
    sheared.wrap()
    return sheared
