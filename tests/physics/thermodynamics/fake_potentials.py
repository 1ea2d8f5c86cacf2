"""Potentials for tests: any ASE calculator, one structure after the other, and a crystal of given stiffness."""

import numpy as np
from ase.calculators.emt import EMT
from ase.optimize import BFGS

from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation

EV_PER_A3_IN_GPA = 160.2176634


class Emt:
    """ASE's effective medium theory; counts its calls, refuses what it has no parameters for."""

    label = "EMT"

    def __init__(self):
        self.predicted, self.relaxed = 0, 0

    def predict(self, structures):
        """Return a prediction for each."""
        self.predicted += 1
        return [self._predict(atoms) for atoms in structures]

    def relax(self, structures, settings, watch=lambda done: None):
        """Relax the atoms of each."""
        self.relaxed += 1
        assert not settings.moves_cell
        return [self._relax(atoms, settings) for atoms in structures]

    def _predict(self, atoms):
        if "Fe" in atoms.get_chemical_formula():
            return Refusal("EMT has no Fe; use another potential")
        atoms = atoms.copy()
        atoms.calc = EMT()
        stress = atoms.get_stress(voigt=False) * EV_PER_A3_IN_GPA
        return Prediction(atoms.get_potential_energy() / len(atoms), atoms.get_forces(), stress)

    def _relax(self, atoms, settings):
        if "Fe" in atoms.get_chemical_formula():
            return Refusal("EMT has no Fe; use another potential")
        moving = atoms.copy()
        moving.calc = EMT()
        optimizer = BFGS(moving, logfile=None)
        converged = optimizer.run(fmax=settings.fmax_ev_per_a, steps=settings.max_steps)
        moving.calc = None
        outcome = Outcome.CONVERGED if converged else Outcome.NOT_CONVERGED
        return Relaxation(moving, self._predict(moving), optimizer.nsteps + 1, outcome)


class Hookean:
    """A crystal whose energy is quadratic in the Lagrangian strain from a reference cell, in eV and angstrom.

    With the cell vectors as rows, ``cell = reference @ M``, ``eta = (M M^T - 1) / 2``, ``E = V0 / 2 eta : C : eta``,
    and a further small strain changes eta by ``M strain M^T``: so the stress is ``V0 / V  M^T (C : eta) M``.
    """

    label = "Hookean"

    def __init__(self, reference, stiffness_gpa):
        self.reference, self.stiffness = np.asarray(reference), np.asarray(stiffness_gpa)

    def predict(self, structures):
        """Return a prediction for each."""
        return [self._predict(atoms) for atoms in structures]

    def relax(self, structures, settings, watch=lambda done: None):
        """Return each as it is: nothing moves the atoms."""
        return [Relaxation(atoms, self._predict(atoms), 1, Outcome.CONVERGED) for atoms in structures]

    def _predict(self, atoms):
        gradient = np.linalg.inv(self.reference) @ atoms.cell.array
        eta = (gradient @ gradient.T - np.eye(3)) / 2
        voigt = np.array([eta[0, 0], eta[1, 1], eta[2, 2], 2 * eta[1, 2], 2 * eta[0, 2], 2 * eta[0, 1]])
        s = self.stiffness @ voigt
        second = np.array([[s[0], s[5], s[4]], [s[5], s[1], s[3]], [s[4], s[3], s[2]]])
        stress = gradient.T @ second @ gradient / np.linalg.det(gradient)
        energy = abs(np.linalg.det(self.reference)) * (voigt @ s) / 2 / EV_PER_A3_IN_GPA
        return Prediction(energy / len(atoms), np.zeros((len(atoms), 3)), stress)
