"""Meshes of k-points."""

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np

from physics.prototypes import as_spglib

if TYPE_CHECKING:
    from ase import Atoms

MESH_SLACK = 1.5


def kpoint_counts(atoms: "Atoms", k_length_a: float) -> tuple[int, int, int]:
    """Choose a Gamma-centred mesh at least `k_length_a` times as fine as each reciprocal length (without 2 pi).

    The axes of a reduced cell need not be equivalent although symmetry mixes them, and a mesh that breaks a symmetry
    costs more than a finer one that keeps it: of the meshes up to `MESH_SLACK` finer the cheapest is taken.
    """
    import spglib

    least = np.ceil(np.round(k_length_a * atoms.cell.reciprocal().lengths(), 6)).astype(int)
    found = spglib.get_symmetry(as_spglib(atoms), 1e-3)
    identity = np.eye(3, dtype=int)
    rotations = np.unique(np.concatenate([found["rotations"], -found["rotations"]] if found else [[identity]]), axis=0)
    axes = [range(count, int(count * MESH_SLACK) + 1) for count in least]
    meshes = sorted(itertools.product(*axes), key=lambda mesh: (math.prod(mesh) / _kept(rotations, mesh), mesh))
    first, second, third = meshes[0]
    return first, second, third


def _kept(rotations: np.ndarray, mesh: tuple[int, ...]) -> int:
    """Count the rotations that map a mesh onto itself."""
    counts = np.array(mesh)
    images = rotations.transpose(0, 2, 1) * counts[:, None] / counts[None, :]
    return int(np.isclose(images, np.round(images)).all(axis=(1, 2)).sum())
