"""The measured 1:1 intermetallics of pymatgen's table, for replaying a finished experiment."""

import gzip
import json
import math
from dataclasses import dataclass
from functools import cache
from typing import Any

# Metals with a PBE setup in gpaw-data 1.2.1 and no open f shell (La and Lu stay). Mn is left out: its ground state has
# 58 atoms and complex magnetism, which no quick reference calculation reproduces. Metalloids are left out.
METALS = frozenset(
    "Li Be Na Mg Al K Ca Sc Ti V Cr Fe Co Ni Cu Zn Ga Rb Sr Y Zr Nb Mo Ru Rh Pd Ag Cd In Sn "
    "Cs Ba La Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi".split()
)


@dataclass(frozen=True)
class MeasuredCompound:
    """One calorimetric measurement.

    Attributes:
        formula: the electropositive element first, as in the table.
        elements: the two elements in that order.
        formation_energy_ev_per_atom: measured at or referred to room temperature.
        uncertainty_ev_per_atom: as reported; None where none was.
    """

    formula: str
    elements: tuple[str, str]
    formation_energy_ev_per_atom: float
    uncertainty_ev_per_atom: float | None


@cache
def measured_compounds() -> tuple[MeasuredCompound, ...]:
    """Read the 1:1 binaries of `METALS`, in the order of their names.

    Raises:
        ModuleNotFoundError: pymatgen is not installed.
    """
    from importlib.resources import files

    table = files("pymatgen.analysis") / "compatibility" / "exp_compounds.json.gz"
    rows = json.loads(gzip.decompress(table.read_bytes()))
    found = [compound for row in rows if (compound := _equiatomic(row)) is not None]
    return tuple(sorted(found, key=lambda compound: compound.formula))


def _equiatomic(row: dict[str, Any]) -> MeasuredCompound | None:
    from pymatgen.core import Composition

    composition = Composition(row["formula"])
    elements = sorted(composition, key=lambda element: element.X)
    if len(elements) != 2 or any(composition[element] != 1 for element in elements):
        return None
    first, second = (element.symbol for element in elements)
    if not {first, second} <= METALS:
        return None
    error = row["uncertainty"] or math.nan  # of the formula unit, as the energy
    uncertainty = error / 2 if math.isfinite(error) else None
    return MeasuredCompound(composition.reduced_formula, (first, second), row["exp energy"] / 2, uncertainty)
