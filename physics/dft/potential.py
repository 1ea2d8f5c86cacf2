"""GPAW as a potential, so that equations of state and elastic constants need no second recipe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.calculation import Request, forces_and_stress, nothing_more, single_point
from physics.dft.relaxation import relaxed
from physics.dft.settings import WITH_STRESS, DFTSettings
from physics.mlip.potential import Prediction, Refusal, Relaxation, RelaxationSettings, ignore
from physics.thermodynamics.deformation import GPA_PER_EV_PER_A3

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class GpawPotential:
    """GPAW on one mesh of k-points, one structure after the other.

    Attributes:
        settings: numerical settings.
        request: the mesh and the start of the spins; its ``observe`` is not used.
        forces: whether forces and stress are calculated; without them they are NaN.
        pulay_ev_per_atom: times the density of atoms, what is added to the stress (`physics.dft.pulay`).
        answers: every answer so far, in order, for the account.
    """

    settings: DFTSettings
    request: Request
    forces: bool = True
    pulay_ev_per_atom: float = 0.0
    answers: list[dict[str, Any]] = field(default_factory=list)

    @property
    def label(self) -> str:
        """Functional and protocol."""
        return f"GPAW {self.settings.functional} {self.settings.name}"

    def predict(self, structures: Sequence["Atoms"]) -> list[Prediction | Refusal]:
        """Return energies, forces and stresses of structures as they are.

        After the first that has none the others are not calculated: a curve with a gap is no curve, and each is dear.
        """
        found: list[Prediction | Refusal] = []
        for atoms in structures:
            broken = bool(found) and isinstance(found[-1], Refusal)
            found.append(Refusal("not calculated: one before it failed") if broken else self._predicted(atoms))
        return found

    def relax(
        self, structures: Sequence["Atoms"], settings: RelaxationSettings, watch: Callable[[int], None] = ignore
    ) -> list[Relaxation | Refusal]:
        """Return the minima next to the structures, up to the first without energy; `watch` is told how many ended."""
        found: list[Relaxation | Refusal] = []
        for atoms in structures:
            broken = bool(found) and isinstance(found[-1], Refusal)
            refusal = Refusal("not calculated: one before it failed")
            found.append(refusal if broken else relaxed(atoms, self._predicted, settings))
            watch(len(found))
        return found

    def _predicted(self, atoms: "Atoms") -> Prediction | Refusal:
        if self.forces and self.settings.functional not in WITH_STRESS:
            return Refusal(f"the stress of {self.settings.functional} is not validated; use one of {list(WITH_STRESS)}")
        observe = forces_and_stress if self.forces else nothing_more
        answer = single_point(atoms, self.settings, replace(self.request, observe=observe))
        self.answers.append(answer)
        if "failure" in answer:
            return Refusal(answer["failure"])
        nothing = {"forces_ev_per_a": np.full((len(atoms), 3), np.nan), "stress_gpa": np.full((3, 3), np.nan)}
        vectors = {key: np.array(answer.get(key, blank), float) for key, blank in nothing.items()}
        basis_gpa = self.pulay_ev_per_atom * len(atoms) / atoms.get_volume() * GPA_PER_EV_PER_A3
        vectors["stress_gpa"] = vectors["stress_gpa"] + basis_gpa * np.eye(3)
        return Prediction(answer["energy_ev_per_atom"], **vectors)
