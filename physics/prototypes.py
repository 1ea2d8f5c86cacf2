"""Crystal structures: primitive cells of 1:1 binary prototypes and of the elements.

A prototype is a space group in a conventional setting, axis ratios and one Wyckoff representative a site; the cell is
scaled to a guessed volume and reduced to its primitive cell. Parameters are rounded values of the type compound named
with each prototype; every relaxation starts from them, so only their symmetry has to be right.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

Site = tuple[float, float, float]


@dataclass(frozen=True)
class Prototype:
    """One AB structure type.

    Attributes:
        name: Strukturbericht symbol, ``L10`` for L1_0.
        space_group: international number.
        ratios: b/a and c/a of the conventional cell.
        gamma_degrees: angle between a and b (90, or 120 for hexagonal cells).
        first: Wyckoff representatives of the first element, fractional.
        second: those of the second element.
        distinct: exchanging the two elements gives another structure.
    """

    name: str
    space_group: int
    ratios: tuple[float, float]
    gamma_degrees: float
    first: tuple[Site, ...]
    second: tuple[Site, ...]
    distinct: bool


_TABLE = (
    # rock salt and zinc blende are no metals' structures; kept as hopeless controls
    Prototype("B1", 225, (1.0, 1.0), 90.0, ((0, 0, 0),), ((0.5, 0.5, 0.5),), False),
    Prototype("B2", 221, (1.0, 1.0), 90.0, ((0, 0, 0),), ((0.5, 0.5, 0.5),), False),  # CsCl
    Prototype("B3", 216, (1.0, 1.0), 90.0, ((0, 0, 0),), ((0.25, 0.25, 0.25),), False),
    Prototype("B81", 194, (1.0, 1.35), 120.0, ((0, 0, 0),), ((1 / 3, 2 / 3, 0.25),), True),  # NiAs; PtSn, AuSn
    Prototype("B11", 129, (1.0, 1.9), 90.0, ((0.25, 0.25, 0.65),), ((0.25, 0.25, 0.10),), False),  # CuTi
    Prototype("B19", 51, (0.60, 0.98), 90.0, ((0.25, 0, 0.31),), ((0.25, 0.5, 0.82),), False),  # AuCd, axes of Pmma
    Prototype("B20", 198, (1.0, 1.0), 90.0, ((0.15, 0.15, 0.15),), ((0.845, 0.845, 0.845),), False),  # FeSi; AlPt
    Prototype("B27", 62, (0.63, 0.78), 90.0, ((0.18, 0.25, 0.12),), ((0.04, 0.25, 0.62),), True),  # FeB; YPt
    Prototype("B32", 227, (1.0, 1.0), 90.0, ((0.125, 0.125, 0.125),), ((0.625, 0.625, 0.625),), False),  # NaTl; LiAl
    Prototype("B33", 63, (3.05, 1.25), 90.0, ((0, 0.14, 0.25),), ((0, 0.41, 0.25),), True),  # CrB; ZrPt
    Prototype("B35", 191, (1.0, 0.80), 120.0, ((0.5, 0, 0),), ((0, 0, 0), (1 / 3, 2 / 3, 0.5)), True),  # CoSn; PbRh
    Prototype("L10", 123, (1.0, 1.35), 90.0, ((0, 0, 0),), ((0.5, 0.5, 0.5),), False),  # CuAu, two-atom cell
)
PROTOTYPES = {prototype.name: prototype for prototype in _TABLE}
PLAUSIBLE = tuple(name for name in PROTOTYPES if name not in {"B1", "B3"})

_ORIGIN_AT_INVERSION = frozenset({129, 227})  # the second origin choice of the International Tables

# Initial moments in Bohr magnetons; chromium alternates, everything else starts ferromagnetic.
MAGNETIC_MOMENTS = {"Cr": 1.0, "Mn": 3.0, "Fe": 2.5, "Co": 1.7, "Ni": 0.7}

# Elements that ase.collections.dcdft lacks: structure, a and c in angstrom (hexagonal La: Spedding, Hanak and Daane,
# J. Less-Common Met. 3, 110 (1961), dhcp, room temperature).
_DOUBLE_HEXAGONAL = {"La": (3.774, 12.171)}


def build(name: str, first: str, second: str, volume_per_atom_a3: float) -> "Atoms":
    """Build the primitive cell of a prototype.

    Args:
        name: key of `PROTOTYPES`.
        first: element on the first site.
        second: element on the second site.
        volume_per_atom_a3: volume of the cell over its atoms, cubic angstrom.

    Raises:
        ValueError: the prototype is unknown.
    """
    from ase.spacegroup import crystal

    if name not in PROTOTYPES:
        raise ValueError(f"prototype {name=} is unknown; known: {sorted(PROTOTYPES)}")
    prototype = PROTOTYPES[name]
    symbols = [first] * len(prototype.first) + [second] * len(prototype.second)
    sites = np.array(prototype.first + prototype.second, dtype=float)
    lengths = [1.0, *prototype.ratios, 90, 90, prototype.gamma_degrees]
    setting = 2 if prototype.space_group in _ORIGIN_AT_INVERSION else 1
    cell = crystal(symbols, sites, spacegroup=prototype.space_group, setting=setting, cellpar=lengths)
    cell.set_cell(cell.cell * (volume_per_atom_a3 * len(cell) / cell.get_volume()) ** (1 / 3), scale_atoms=True)
    return primitive(cell)


def orderings(name: str, first: str, second: str) -> tuple[tuple[str, str], ...]:
    """Return the ways of putting two elements on the sites of a prototype that differ by symmetry."""
    both = ((first, second), (second, first))
    return both if PROTOTYPES[name].distinct else both[:1]


def elemental_reference(symbol: str) -> "Atoms":
    """Build the primitive cell of an element's ground-state structure.

    Raises:
        ValueError: no reference structure is known for the element.
    """
    from ase.collections import dcdft

    if symbol in _DOUBLE_HEXAGONAL:
        return _double_hexagonal(symbol, *_DOUBLE_HEXAGONAL[symbol])
    if symbol not in dcdft.names:
        raise ValueError(f"no reference structure for element {symbol!r}; known: {sorted(dcdft.names)} and La")
    if symbol == "Cr":  # bcc with alternating moments: the conventional cell of two atoms is primitive
        return plain(dcdft[symbol])
    return primitive(dcdft[symbol])


def primitive(atoms: "Atoms", symprec_a: float = 1e-3) -> "Atoms":
    """Return the idealised, Niggli-reduced primitive cell, without calculator, constraints or moments.

    Args:
        atoms: any periodic cell.
        symprec_a: distance in angstrom up to which positions count as symmetric; they are made so exactly.

    Raises:
        ValueError: spglib finds no cell, for example because atoms coincide.
    """
    import spglib
    from ase import Atoms
    from ase.build import niggli_reduce

    found = spglib.standardize_cell(as_spglib(atoms), to_primitive=True, no_idealize=False, symprec=symprec_a)
    if found is None:
        raise ValueError(f"spglib finds no cell for {atoms.get_chemical_formula()}: atoms may coincide")
    cell, scaled, numbers = found
    reduced = Atoms(numbers=numbers, cell=cell, scaled_positions=scaled, pbc=True)
    niggli_reduce(reduced)  # plane-wave codes dislike the flat cells of centred lattices
    reduced.wrap()
    return reduced


def plain(atoms: "Atoms") -> "Atoms":
    """Return a copy that has cell, elements and positions only."""
    from ase import Atoms

    return Atoms(numbers=atoms.numbers, cell=atoms.cell, scaled_positions=atoms.get_scaled_positions(), pbc=True)


def as_record(atoms: "Atoms") -> dict[str, list]:
    """Return the structure as JSON values: cell in angstrom, scaled positions, atomic numbers, periodicity."""
    return {
        "cell": atoms.cell.array.tolist(),
        "scaled_positions": atoms.get_scaled_positions().tolist(),
        "numbers": atoms.numbers.tolist(),
        "pbc": [bool(periodic) for periodic in atoms.pbc],
    }


def as_spglib(atoms: "Atoms") -> Any:
    """Return the structure as spglib takes it; its type hints ask for nested lists although it takes arrays."""
    return atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers


def from_record(record: Mapping[str, Any]) -> "Atoms":
    """Build the structure of a record made by `as_record`.

    Raises:
        ValueError: a key is missing.
    """
    from ase import Atoms

    missing = sorted({"cell", "scaled_positions", "numbers", "pbc"} - set(record))
    if missing:
        raise ValueError(f"a structure record lacks {missing=}")
    return Atoms(**{key: record[key] for key in ("cell", "scaled_positions", "numbers", "pbc")})


@cache
def elemental_volume_a3(symbol: str) -> float:
    """Return the volume per atom of the element's reference structure, cubic angstrom."""
    atoms = elemental_reference(symbol)
    return float(atoms.get_volume() / len(atoms))


def initial_moments(atoms: "Atoms") -> np.ndarray | None:
    """Return starting magnetic moments in Bohr magnetons, or None where no element carries one.

    Chromium alternates in sign from atom to atom (bcc Cr needs the two-atom cell of `elemental_reference`).
    """
    moments = np.array([MAGNETIC_MOMENTS.get(symbol, 0.0) for symbol in atoms.symbols])
    if not moments.any():
        return None
    chromium = np.flatnonzero(atoms.symbols == "Cr")
    moments[chromium[1::2]] *= -1.0
    return moments


def _double_hexagonal(symbol: str, a_a: float, c_a: float) -> "Atoms":
    from ase import Atoms

    cell = a_a * np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, c_a / a_a]])
    stacking = [(0, 0, 0), (1 / 3, 2 / 3, 0.25), (0, 0, 0.5), (2 / 3, 1 / 3, 0.75)]  # A B A C
    return Atoms([symbol] * 4, scaled_positions=stacking, cell=cell, pbc=True)
