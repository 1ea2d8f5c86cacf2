"""Relax positions and cell with any ASE calculator."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator

MAX_VOLUME_RATIO = 1.6  # a metal that swells or shrinks by more has left the potential's domain
MIN_DISTANCE_A = 1.4
PATIENCE_STEPS = 8


class Potential(Protocol):
    """What a screening needs from a potential: batched energies and an ASE calculator."""

    def energies_ev_per_atom(self, structures: Sequence["Atoms"]) -> np.ndarray:
        """Return energies, shape (structures,), eV/atom."""
        ...

    def calculator(self) -> "Calculator":
        """Return a calculator of energy, forces and stress."""
        ...


@dataclass(frozen=True)
class Relaxation:
    """The end of a relaxation.

    Attributes:
        atoms: final structure, without calculator.
        energy_ev_per_atom: energy of that structure.
        steps: force evaluations.
        failure: why the structure is not a relaxed one; None for a converged relaxation.
    """

    atoms: "Atoms"
    energy_ev_per_atom: float
    steps: int
    failure: str | None


def relax(
    atoms: "Atoms",
    calculator: "Calculator",
    fmax_ev_per_a: float = 0.02,
    max_steps: int = 80,
    hopeless_above_ev_per_atom: float = float("inf"),
) -> Relaxation:
    """Relax positions and cell by BFGS on the logarithm of the deformation gradient.

    Gradients have the symmetry of the structure, so a symmetric start keeps its symmetry up to rounding.

    Args:
        atoms: start, not modified.
        calculator: gives energy, forces and stress.
        fmax_ev_per_a: largest component of the generalised force at convergence.
        max_steps: force evaluations at most.
        hopeless_above_ev_per_atom: give up on a structure still above this energy after `PATIENCE_STEPS` steps.
    """
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    moving = atoms.copy()
    moving.calc = calculator
    volume_a3 = moving.get_volume()
    movable: Any = FrechetCellFilter(moving)  # taken by every optimizer, although annotated otherwise
    optimizer = BFGS(movable, logfile=None, maxstep=0.1)
    converged, failure = False, None
    for finished in optimizer.irun(fmax=fmax_ev_per_a, steps=max_steps):
        converged = bool(finished)
        failure = _out_of_bounds(moving, volume_a3)
        if optimizer.nsteps == PATIENCE_STEPS and failure is None:
            failure = _hopeless(float(moving.get_potential_energy()) / len(moving), hopeless_above_ev_per_atom)
        if failure:
            break
    if not converged and failure is None:
        failure = f"not converged to {fmax_ev_per_a} eV/angstrom in {max_steps} steps"
    energy = float(moving.get_potential_energy()) / len(moving)
    moving.calc = None
    return Relaxation(moving, energy, optimizer.nsteps + 1, failure)


def shortest_distance_a(atoms: "Atoms") -> float:
    """Return the shortest distance between two atoms, periodic images included, up to 4 angstrom."""
    from ase.neighborlist import neighbor_list

    distances = neighbor_list("d", atoms, 4.0)
    return float(distances.min()) if len(distances) else 4.0


def _hopeless(energy_ev_per_atom: float, limit_ev_per_atom: float) -> str | None:
    excess = energy_ev_per_atom - limit_ev_per_atom
    return f"given up {excess:.3f} eV/atom above the limit after {PATIENCE_STEPS} steps" if excess > 0 else None


def _out_of_bounds(atoms: "Atoms", volume_a3: float) -> str | None:
    ratio = atoms.get_volume() / volume_a3
    if not 1 / MAX_VOLUME_RATIO < ratio < MAX_VOLUME_RATIO:
        return f"the volume changed by the factor {ratio:.2f} during the relaxation"
    distance = shortest_distance_a(atoms)
    if distance < MIN_DISTANCE_A:
        return f"two atoms came within {distance:.2f} angstrom"
    return None
