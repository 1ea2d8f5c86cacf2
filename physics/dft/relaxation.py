"""Relaxation of positions, and of the cell by its stress, by ASE's BFGS around any function of a structure.

FIRE, which the potentials take, needs many times the evaluations, and here each one is dear.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation, RelaxationSettings

if TYPE_CHECKING:
    from ase import Atoms

Predict = Callable[["Atoms"], Prediction | Refusal]
MAX_VOLUME_RATIO = 1.6  # a crystal that swells or shrinks by more has exploded


def relaxed(atoms: "Atoms", predict: Predict, settings: RelaxationSettings) -> Relaxation | Refusal:
    """Return the minimum next to a structure.

    Args:
        atoms: start, not modified.
        predict: energy, forces and stress of a structure.
        settings: when it ends; where the cell moves, ``volume x stress / atoms`` counts as a force.

    Returns:
        The end, or the reason why the start has no energy.
    """
    working = atoms.copy()
    first = predict(working)
    if isinstance(first, Refusal):
        return first
    bridge = _Bridge(predict, working.copy(), first)
    working.calc = bridge
    outcome = _descend(working, bridge, settings, atoms.get_volume())
    end = bridge.at.copy()
    return Relaxation(end, bridge.last, bridge.evaluations, outcome)


def _descend(atoms: "Atoms", bridge: "_Bridge", settings: RelaxationSettings, volume_a3: float) -> Outcome:
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    # its force on the cell is -volume x stress; over the atoms it is as large as in the other potentials
    moving: Any = FrechetCellFilter(atoms, exp_cell_factor=float(len(atoms))) if settings.moves_cell else atoms
    walk = BFGS(moving, logfile=None)
    try:
        for _ in walk.irun(fmax=settings.fmax_ev_per_a, steps=settings.max_steps - 1):
            if not 1 / MAX_VOLUME_RATIO < atoms.get_volume() / volume_a3 < MAX_VOLUME_RATIO:
                return Outcome.EXPLODED
    except _RefusedError:
        return Outcome.EXPLODED
    return Outcome.CONVERGED if walk.converged(moving.get_forces().ravel()) else Outcome.NOT_CONVERGED


class _RefusedError(Exception):
    """A structure on the way has no energy."""


class _Bridge:
    """What ASE's optimisers ask of a calculator, evaluated once a structure."""

    def __init__(self, predict: Predict, at: "Atoms", first: Prediction):
        self._predict = predict
        self.at, self.last, self.evaluations = at, first, 1

    def get_potential_energy(self, atoms: "Atoms", force_consistent: bool = False) -> float:
        """Return the energy in eV."""
        return self._now(atoms).energy_ev_per_atom * len(atoms)

    def get_forces(self, atoms: "Atoms") -> np.ndarray:
        """Return the forces in eV/angstrom."""
        return self._now(atoms).forces_ev_per_a.copy()

    def get_stress(self, atoms: "Atoms") -> np.ndarray:
        """Return the stress in eV/angstrom^3, Voigt order."""
        from ase.stress import full_3x3_to_voigt_6_stress
        from ase.units import GPa

        return full_3x3_to_voigt_6_stress(self._now(atoms).stress_gpa * GPa)

    def _now(self, atoms: "Atoms") -> Prediction:
        same = np.array_equal(atoms.cell.array, self.at.cell.array)
        if same and np.array_equal(atoms.positions, self.at.positions):
            return self.last
        found = self._predict(atoms)
        if isinstance(found, Refusal):
            raise _RefusedError(found.reason)
        self.at, self.last, self.evaluations = atoms.copy(), found, self.evaluations + 1
        return found
