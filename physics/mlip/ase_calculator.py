"""Any ASE calculator as a potential: one structure after the other, for what has no batched code."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.mlip.potential import Prediction, Refusal, Relaxation, RelaxationSettings, ignore
from physics.mlip.reading import MIN_DISTANCE_A, overlapping, refusals

if TYPE_CHECKING:
    from ase import Atoms
    from ase.calculators.calculator import Calculator


@dataclass(frozen=True)
class AsePotential:
    """An ASE calculator of energy, forces and stress.

    Attributes:
        make: returns a new calculator; called for every `predict` and again after a failure, because what a calculator
            holds then is not defined.
        label: model and weights.
    """

    make: Callable[[], "Calculator"]
    label: str

    def predict(self, structures: Sequence["Atoms"]) -> list[Prediction | Refusal]:
        """Return energies, forces, stresses and magnetic moments of structures as they are, without constraints."""
        refused = refusals(structures, lambda numbers: numbers >= 1)
        calculator = None
        found: list[Prediction | Refusal] = []
        for index, atoms in enumerate(structures):
            if (reason := refused.get(index) or _overlap(atoms)) is not None:
                found.append(Refusal(reason))
                continue
            calculator = calculator or self.make()
            answer = _answer(atoms, calculator)
            calculator = None if isinstance(answer, Refusal) else calculator
            found.append(answer)
        return found

    def relax(
        self, structures: Sequence["Atoms"], settings: RelaxationSettings, watch: Callable[[int], None] = ignore
    ) -> list[Relaxation | Refusal]:
        """Return the minima next to the structures; `watch` is told how many have ended."""
        from physics.mlip.host_relax import relax_on_host

        return relax_on_host(self.predict, structures, settings, watch)


def _overlap(atoms: "Atoms") -> str | None:
    from ase.neighborlist import neighbor_list

    closest_a = np.linalg.norm(atoms.cell.array, axis=1).min()  # a tiny cell has too many images to list
    if closest_a >= MIN_DISTANCE_A:
        closest_a = min(neighbor_list("d", atoms, MIN_DISTANCE_A), default=np.inf)
    if closest_a >= MIN_DISTANCE_A:
        return None
    return f"{atoms.get_chemical_formula()!r} {overlapping(closest_a)}"


def _answer(atoms: "Atoms", calculator: "Calculator") -> Prediction | Refusal:
    from ase.calculators.calculator import PropertyNotImplementedError

    try:
        prediction = _evaluate(atoms, calculator)
    except PropertyNotImplementedError as missing:
        return Refusal(f"{type(calculator).__name__} lacks a property ({missing}); give one with forces and stress")
    except Exception as error:  # a foreign program fails in ways of its own
        return Refusal(f"{type(calculator).__name__} failed with {type(error).__name__}: {error}")
    parts = prediction.energy_ev_per_atom, prediction.forces_ev_per_a, prediction.stress_gpa
    if not all(np.isfinite(part).all() for part in parts):
        return Refusal(f"{type(calculator).__name__} gave an answer that is not finite; check the structure")
    return prediction


def _evaluate(atoms: "Atoms", calculator: "Calculator") -> Prediction:
    from ase.units import GPa

    copy: Any = atoms.copy()  # annotated without the keyword voigt
    copy.set_constraint()  # which would hide forces
    copy.calc = calculator
    energy_ev = float(copy.get_potential_energy())
    forces, stress = copy.get_forces(), copy.get_stress(voigt=False)
    moments = getattr(calculator, "results", {}).get("magmoms")
    return Prediction(
        energy_ev_per_atom=energy_ev / len(atoms),
        forces_ev_per_a=np.array(forces, float),
        stress_gpa=np.array(stress, float) / GPa,
        magnetic_moments_mu_b=None if moments is None else np.array(moments, float),
    )
