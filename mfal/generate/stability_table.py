"""Energies above the hull of known compounds, which a classifier of stable compositions learns from."""

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from mfal.errors import ConstraintError, GenerationError
from mfal.generate.feasibility import ClassifierSettings, FeasibilityClassifier, train_classifier
from mfal.space.formula import ELEMENTS, Formula
from mfal.types import PRNGKeyArray

COLUMNS = ("formula", "energy_above_hull_ev_per_atom")
# What is commonly made although it is above the hull.
TOLERANCE_EV_PER_ATOM = 0.05


@dataclass(frozen=True)
class StabilityTable:
    """Compounds with their energies above the hull.

    Attributes:
        formulas: as written.
        elements: that occur, by atomic number.
        fractions: atomic, shape (formulas, elements).
        energies_ev_per_atom: above the hull.
    """

    formulas: tuple[str, ...]
    elements: tuple[str, ...]
    fractions: Float[np.ndarray, "n d"]
    energies_ev_per_atom: Float[np.ndarray, " n"]

    @property
    def stable(self) -> Bool[np.ndarray, " n"]:
        """Which of them are within the tolerance."""
        return self.energies_ev_per_atom <= TOLERANCE_EV_PER_ATOM

    def classifier(self, key: PRNGKeyArray) -> FeasibilityClassifier:
        """Return a classifier that has learnt all of it."""
        return train_classifier(self.elements, self.fractions, self.stable, ClassifierSettings(), key)


def read_stability(path: Path) -> StabilityTable:
    """Read a CSV file with the columns `COLUMNS`.

    Raises:
        GenerationError: the file cannot be read, a column is missing, or a line is wrong: names it.
    """
    rows = _rows(path)
    read = [_row(path, number, row) for number, row in enumerate(rows, start=2)]
    if not read:
        raise GenerationError(f"{path}: holds no compound; write one a line")
    present = {symbol for formula, _ in read for symbol in formula.amounts}
    elements = tuple(symbol for symbol in ELEMENTS if symbol in present)
    fractions = np.array([formula.fractions(elements) for formula, _ in read])
    return StabilityTable(tuple(row[COLUMNS[0]] for row in rows), elements, fractions, np.array([e for _, e in read]))


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            missing = sorted(set(COLUMNS) - set(reader.fieldnames or ()))
            if missing:
                raise GenerationError(f"{path}:1: {missing=}; the first line must name {', '.join(COLUMNS)}")
            return list(reader)
    except (OSError, UnicodeDecodeError) as error:
        raise GenerationError(f"{path}: cannot be read ({error}); name a CSV file") from error


def _row(path: Path, number: int, row: dict[str, str]) -> tuple[Formula, float]:
    text, energy = row[COLUMNS[0]] or "", row[COLUMNS[1]] or ""
    try:
        formula, value = Formula.parse(text), float(energy)
    except (ValueError, ConstraintError) as error:
        raise GenerationError(f"{path}:{number}: {error}; correct the line") from error
    if not math.isfinite(value):
        raise GenerationError(f"{path}:{number}: {text} has {COLUMNS[1]} = {energy}: give a number or drop the line")
    return formula, value
