"""Whether a statement about the symmetry of a crystal is possible, and whether the crystal agrees with it.

The Wyckoff positions are those of the International Tables in spglib's standard settings, as pymatgen tabulates them.
Letters depend on the choice of the origin: those that a normaliser exchanges (a and b of Pm-3m) count as equal.
"""

import gzip
import json
from collections import Counter
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from mfal.constraints.crystal import Crystal
from mfal.errors import ConstraintError, MissingExtraError

_POSSIBLE_ROTATIONS = (1, 2, 3, 4, 6)
_GROUPS = 230
# Proper rotations have these orders by their trace; improper ones by that of their inverse through the origin.
_ORDER_OF_TRACE = {3: 1, -1: 2, 0: 3, 1: 4, 2: 6}
_LAST_OF_SYSTEM = {
    2: "triclinic",
    15: "monoclinic",
    74: "orthorhombic",
    142: "tetragonal",
    167: "trigonal",
    194: "hexagonal",
    230: "cubic",
}
_RHOMBOHEDRAL = frozenset({146, 148, 155, 160, 161, 166, 167})
# What a lattice alone allows; a rhombohedral crystal may be given in the hexagonal cell.
_LOW = frozenset({"triclinic", "monoclinic"})
_SYSTEMS_ON_LATTICE = {
    "triclinic": frozenset({"triclinic"}),
    "monoclinic": _LOW,
    "orthorhombic": _LOW | {"orthorhombic"},
    "tetragonal": _LOW | {"orthorhombic", "tetragonal"},
    "rhombohedral": _LOW | {"rhombohedral"},
    "hexagonal": _LOW | {"orthorhombic", "rhombohedral", "trigonal", "hexagonal"},
    "cubic": _LOW | {"orthorhombic", "tetragonal", "rhombohedral", "cubic"},
}


@dataclass(frozen=True)
class Site:
    """One orbit of symmetry-equivalent atoms.

    Attributes:
        element: its symbol.
        letter: of the Wyckoff position.
        multiplicity: atoms in the conventional cell; None leaves it open.
    """

    element: str
    letter: str
    multiplicity: int | None = None


@dataclass(frozen=True)
class SymmetryStatement:
    """What is said of a crystal's symmetry; what is left out is not checked.

    Attributes:
        number: of the space group in the International Tables.
        symbol: Hermann-Mauguin, such as ``Fm-3m``.
        sites: all orbits of the crystal.
        rotations: orders of axes that it is said to have.
    """

    number: int
    symbol: str | None = None
    sites: tuple[Site, ...] = ()
    rotations: tuple[int, ...] = ()


def impossible(statement: SymmetryStatement) -> list[str]:
    """Return why no crystal at all can be as stated."""
    reasons = [f"no lattice has a {n}-fold axis" for n in statement.rotations if n not in _POSSIBLE_ROTATIONS]
    if not 1 <= statement.number <= _GROUPS:
        return [*reasons, f"space group {statement.number} does not exist: they number 1 to {_GROUPS}"]
    orders = _orders(statement.number)
    reasons += [
        f"space group {statement.number} has no {n}-fold axis, only {sorted(orders)}"
        for n in statement.rotations
        if n in _POSSIBLE_ROTATIONS and n not in orders
    ]
    return [*reasons, *_symbol_reasons(statement), *_site_reasons(statement)]


def off_lattice(statement: SymmetryStatement, crystal: Crystal, tolerance_a: float) -> list[str]:
    """Return why the lattice of a crystal cannot carry the stated space group."""
    import spglib

    # Of a supercell, the lattice of the crystal within; of that, the symmetry that one atom would have.
    primitive = spglib.find_primitive(crystal.to_spglib(), tolerance_a)
    cell = crystal.lattice if primitive is None else primitive[0]
    lattice = _system(_dataset((cell, np.zeros((1, 3)), [1]), tolerance_a).number)
    stated = _system(statement.number)
    if stated in _SYSTEMS_ON_LATTICE[lattice]:
        return []
    return [f"space group {statement.number} is {stated}, which the {lattice} lattice does not allow"]


def disagreement(statement: SymmetryStatement, crystal: Crystal, tolerance_a: float) -> list[str]:
    """Return how a crystal differs from a possible statement."""
    found = _dataset(crystal.to_spglib(), tolerance_a)
    if found.number != statement.number:
        return [
            f"space group {statement.number} is stated, {found.number} ({found.international}) found within "
            f"{tolerance_a} angstrom"
        ]
    first = sorted({int(orbit) for orbit in found.crystallographic_orbits})
    there = Counter((crystal.symbols[k], found.wyckoffs[k]) for k in first)
    stated = Counter((site.element, site.letter) for site in statement.sites)
    if not stated or any(
        _relabelled(stated, relabelling) == there for relabelling in _table("relabelings", found.number)
    ):
        return []
    return [f"sites {_listed(stated)} are stated, {_listed(there)} found"]


def _symbol_reasons(statement: SymmetryStatement) -> list[str]:
    if statement.symbol is None:
        return []
    from pymatgen.symmetry.groups import SpaceGroup

    try:
        number = SpaceGroup(statement.symbol).int_number
    except ValueError:
        return [f"space group {statement.symbol!r} does not exist"]
    return [] if number == statement.number else [f"{statement.symbol!r} is number {number}, not {statement.number}"]


def _site_reasons(statement: SymmetryStatement) -> list[str]:
    multiplicity = _table("multiplicities", statement.number)
    free = _table("params", statement.number)
    known = [site for site in statement.sites if site.letter in multiplicity]
    used = Counter(site.letter for site in known)
    return [
        *(
            f"space group {statement.number} has no Wyckoff position {site.letter!r} ({site.element})"
            for site in statement.sites
            if site.letter not in multiplicity
        ),
        *(
            f"Wyckoff position {site.letter!r} of space group {statement.number} has multiplicity "
            f"{multiplicity[site.letter]}, not {site.multiplicity} ({site.element})"
            for site in known
            if site.multiplicity not in (None, multiplicity[site.letter])
        ),
        *(
            f"Wyckoff position {letter!r} of space group {statement.number} has no free coordinate and holds "
            f"one orbit, not {number}"
            for letter, number in used.items()
            if number > 1 and free[letter] == 0
        ),
    ]


def _system(number: int) -> str:
    if number in _RHOMBOHEDRAL:
        return "rhombohedral"
    return next(system for last, system in _LAST_OF_SYSTEM.items() if number <= last)


def _dataset(cell: tuple, tolerance_a: float) -> Any:
    try:
        import spglib
    except ImportError as error:
        raise MissingExtraError("spglib", "mlip") from error
    try:
        found = spglib.get_symmetry_dataset(cell, tolerance_a)
    except Exception as error:
        raise ConstraintError(f"spglib finds no symmetry within {tolerance_a=} ({error}): tighten it") from error
    if found is None:
        raise ConstraintError(f"spglib finds no symmetry within {tolerance_a=}: atoms may coincide; tighten it")
    return found


@cache
def _orders(number: int) -> frozenset[int]:
    """Return the orders of the axes of a space group, those of rotoinversions included."""
    import spglib

    kinds: Any = [spglib.get_spacegroup_type(hall) for hall in range(1, 531)]
    hall = next(kind.hall_number for kind in kinds if kind.number == number)
    operations: Any = spglib.get_symmetry_from_database(hall)
    turns = operations["rotations"]
    return frozenset(_ORDER_OF_TRACE[int(np.trace(turn) * round(np.linalg.det(turn)))] for turn in turns)


@cache
def _tables(name: str) -> dict[str, Any]:
    """Read a table of pymatgen; importing its package of prototypes would read a library of structures too."""
    try:
        folder = files("pymatgen.analysis") / "prototypes"
    except ImportError as error:
        raise MissingExtraError("pymatgen", "mlip") from error
    return json.loads(gzip.decompress((folder / f"wyckoff-position-{name}.json.gz").read_bytes()))


def _table(name: str, number: int) -> Any:
    return _tables(name)[str(number)]


def _relabelled(sites: Counter[tuple[str, str]], relabelling: dict[str, str]) -> Counter[tuple[str, str]]:
    moved = Counter()
    for (element, letter), number in sites.items():
        # The tables name letters by their code.
        moved[element, relabelling.get(str(ord(letter)), letter)] += number
    return moved


def _listed(sites: Counter[tuple[str, str]]) -> str:
    return ", ".join(f"{element} {letter}" for element, letter in sorted(sites.elements()))
