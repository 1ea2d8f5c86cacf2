"""What can be seen to be impossible before a calculation is paid for."""

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.settings import DFTSettings
from physics.thermodynamics.deformation import unfit

if TYPE_CHECKING:
    from ase import Atoms

OVERLAP = 0.5  # of the sum of the covalent radii; compressed metals stay above 0.8


def refuse(atoms: "Atoms", settings: DFTSettings, polarised: bool) -> str | None:
    """Return why a calculation cannot succeed, with the remedy; None where nothing speaks against it.

    Args:
        atoms: structure.
        settings: numerical settings.
        polarised: whether the calculation is spin-polarised.
    """
    if (crystal := unfit(atoms)) is not None:
        return crystal.reason
    return _without_data(atoms, settings.functional) or _overlap(atoms) or _odd(atoms, settings, polarised)


def valence_electrons(atoms: "Atoms", functional: str) -> int | None:
    """Return the electrons that a calculation treats, None where an element has no PAW data."""
    counts = [electrons_of(symbol, functional) for symbol in atoms.symbols]
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None


@cache
def electrons_of(symbol: str, functional: str) -> int | None:
    """Return the valence electrons of an element's PAW data set, None where there is none."""
    from gpaw.setup_data import SetupData

    try:
        data: Any = SetupData(symbol, "LDA" if functional == "LDA" else "PBE")  # r2SCAN takes those of PBE
    except FileNotFoundError:
        return None
    return int(data.Nv)


def _without_data(atoms: "Atoms", functional: str) -> str | None:
    lacking = sorted({symbol for symbol in atoms.symbols if electrons_of(symbol, functional) is None})
    if not lacking:
        return None
    return f"{atoms.get_chemical_formula()}: no PAW data for {', '.join(lacking)}; leave out compounds of it"


def _overlap(atoms: "Atoms") -> str | None:
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    radii = OVERLAP * covalent_radii[atoms.numbers]
    shortest_a = float(np.linalg.norm(atoms.cell.array, axis=1).min())
    if shortest_a >= 2 * radii.max():  # otherwise an atom meets its own image, and there are too many to list
        shortest_a = min(neighbor_list("d", atoms, radii), default=np.inf)
        if not np.isfinite(shortest_a):
            return None
    return (
        f"{atoms.get_chemical_formula()}: atoms overlap, {shortest_a:.2f} angstrom apart, less than {OVERLAP:g} of the "
        "sum of their covalent radii; check cell and positions"
    )


def _odd(atoms: "Atoms", settings: DFTSettings, polarised: bool) -> str | None:
    electrons = valence_electrons(atoms, settings.functional)
    if settings.smearing_ev > 0 or polarised or electrons is None or electrons % 2 == 0:
        return None
    return (
        f"{atoms.get_chemical_formula()}: {electrons} valence electrons are odd and smearing_ev=0 fixes the "
        "occupations; set smearing_ev=0.1 or spin='on'"
    )
