"""Crystals under small homogeneous strain."""

from typing import TYPE_CHECKING

import numpy as np

from physics.mlip.potential import Refusal

if TYPE_CHECKING:
    from ase import Atoms

GPA_PER_EV_PER_A3 = 160.2176634
FLAT = 1e-6  # volume of a cell over that of a box with the same edges


def strained(atoms: "Atoms", strain: np.ndarray) -> "Atoms":
    """Return a copy without calculator, cell ``cell @ (1 + strain)``, atoms moved along with it.

    Args:
        atoms: crystal, not modified.
        strain: shape (3, 3), symmetric: then nothing turns.
    """
    moved = atoms.copy()
    moved.set_constraint()  # set_cell would honour it
    moved.set_cell(atoms.cell.array @ (np.eye(3) + strain), scale_atoms=True)
    return moved


def unfit(atoms: "Atoms") -> Refusal | None:
    """Return why a structure is no crystal that could be strained; None where it is one."""
    if len(atoms) == 0:
        return Refusal("there are no atoms; give at least one")
    if not np.isfinite(atoms.cell.array).all() or not np.isfinite(atoms.positions).all():
        return Refusal("a position or a cell vector is not finite; repair the structure")
    box_a3 = float(np.prod(np.linalg.norm(atoms.cell.array, axis=1)))
    if not all(atoms.pbc) or atoms.get_volume() <= FLAT * box_a3:
        return Refusal("not periodic in three directions; give a bulk crystal")
    return None
