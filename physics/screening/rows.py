"""What a screening says of a structure: a row of the table and, if it was answered, a structure with its answer."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation, RelaxationSettings
from physics.structures import Named, Unreadable

if TYPE_CHECKING:
    from ase import Atoms

# Column and its type. All tables have all of them, so that a hull can be asked for when the table is there already.
COLUMNS: Mapping[str, str] = {
    "name": "string",
    "role": "string",
    "model": "string",
    "treatment": "string",
    "formula": "string",
    "atoms": "Int64",
    "energy_ev_per_atom": "Float64",
    "largest_force_ev_per_a": "Float64",
    "pressure_gpa": "Float64",
    "volume_a3_per_atom": "Float64",
    "magnetic_moment_mu_b_per_atom": "Float64",
    "outcome": "string",
    "steps": "Int64",
    "relative_volume_change": "Float64",
    "energy_above_hull_ev_per_atom": "Float64",
    "decomposition": "string",
    "failure": "string",
}
HULL_COLUMNS = ("energy_above_hull_ev_per_atom", "decomposition")
Row = Mapping[str, str]


class ScreeningError(ValueError):
    """A screening that cannot go on: names the file and the remedy."""


class Role(StrEnum):
    """Why a structure is in the table."""

    SCREENED = "screened"
    REFERENCE = "reference"
    ELEMENT = "element"


@dataclass(frozen=True)
class Treatment:
    """What is done to structures.

    Attributes:
        role: why they are in the table.
        model: that answers, by its label.
        relaxation: when one ends; None where structures are answered as they are.
    """

    role: Role
    model: str
    relaxation: RelaxationSettings | None

    @property
    def text(self) -> str:
        """Return it as the table shows it; rows of one role have one treatment."""
        if self.relaxation is None:
            return "as given"
        return f"relaxed to {self.relaxation.fmax_ev_per_a:g} eV/A in {self.relaxation.max_steps} steps"


@dataclass(frozen=True)
class Result:
    """What became of a structure.

    Attributes:
        row: text by column; energies and the like are of the relaxed structure where there is one.
        frame: the structure, with its answer as calculator; None if there is no answer.
    """

    row: Row
    frame: "Atoms | None" = None


def result(one: Named | Unreadable, answer: Prediction | Relaxation | Refusal | None, treatment: Treatment) -> Result:
    """Put an answer into words; what exploded or lost atoms has no numbers, since they would be of no crystal."""
    row = dict.fromkeys(COLUMNS, "") | {"name": one.name, "role": treatment.role, "model": treatment.model}
    row["treatment"] = treatment.text
    if isinstance(one, Unreadable):
        return Result(row | {"failure": _one_line(one.reason)})
    row |= {"formula": one.atoms.get_chemical_formula(), "atoms": str(len(one.atoms))}
    if isinstance(answer, Relaxation):
        row |= {"outcome": answer.outcome, "steps": str(answer.steps)}
        if answer.outcome not in (Outcome.CONVERGED, Outcome.NOT_CONVERGED):
            return Result(row | {"failure": f"its relaxation: {answer.outcome}; check the structure"})
        row |= _numbers({"relative_volume_change": answer.atoms.get_volume() / one.atoms.get_volume() - 1})
        return _answered(row, answer.atoms, answer.prediction)
    if isinstance(answer, Prediction):
        return _answered(row, one.atoms, answer)
    return Result(row | {"failure": _one_line(answer.reason if answer else "no answer")})


def has_frame(row: Row) -> bool:
    """Tell whether a structure belongs to the row."""
    return row["energy_ev_per_atom"] != ""


def _answered(row: dict[str, str], atoms: "Atoms", prediction: Prediction) -> Result:
    numbers = {
        "energy_ev_per_atom": prediction.energy_ev_per_atom,
        "largest_force_ev_per_a": np.linalg.norm(prediction.forces_ev_per_a, axis=1).max(),
        "pressure_gpa": -np.trace(prediction.stress_gpa) / 3.0,
        "volume_a3_per_atom": atoms.get_volume() / len(atoms),
    }
    if prediction.magnetic_moments_mu_b is not None:
        numbers["magnetic_moment_mu_b_per_atom"] = prediction.magnetic_moments_mu_b.mean()
    row |= _numbers(numbers)
    return Result(row, _frame(row, atoms, prediction))


def _numbers(numbers: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{number:.8g}" for name, number in numbers.items()}  # float32 has no more digits


def _frame(row: Row, atoms: "Atoms", prediction: Prediction) -> "Atoms":
    """Return cell, elements and positions alone with the answer; what a file said besides may not fit it any more."""
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator
    from ase.units import GPa

    info = {key: row[key] for key in ("name", "model", "treatment", "outcome") if row[key]}
    frame = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True, info=info)
    moments = prediction.magnetic_moments_mu_b
    frame.calc = SinglePointCalculator(
        frame,
        energy=prediction.energy_ev_per_atom * len(frame),
        forces=np.asarray(prediction.forces_ev_per_a, float),
        stress=np.asarray(prediction.stress_gpa, float) * GPa,
        **({} if moments is None else {"magmoms": np.asarray(moments, float)}),
    )
    return frame


def _one_line(text: str) -> str:
    return " ".join(text.split())
