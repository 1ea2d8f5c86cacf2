"""Energy above the convex hull of formation, and what a compound would decompose into.

All energies are total energies per atom by the same potential with the same settings; no correction is added. The hull
is built over the given entries and the references together. An entry on it is at 0, however far it lies below the hull
of the others; no energy above the hull is negative. Every element needs an entry of its own, among either.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pymatgen.analysis.phase_diagram import PhaseDiagram

DIGITS = 9  # of atomic fractions: compositions that agree to these are the same
TOLERANCE_EV_PER_ATOM = 1e-7
ROUNDING_EV_PER_ATOM = 1e-9  # a height below is none: the entry is on the hull
MAX_ELEMENTS = 10  # 1000 phases of ten elements take 40 s and 0.8 GB, of nine 6 s


class HullError(ValueError):
    """Entries that no hull can be built of: names what is wrong and the remedy."""


class MissingElementError(HullError):
    """Elements without a reference.

    Attributes:
        elements: their symbols.
    """

    def __init__(self, elements: Sequence[str]) -> None:
        self.elements = tuple(elements)
        super().__init__(
            f"no energy of the element {', '.join(elements)}; relax its ground state with the same potential and give "
            "it as a reference"
        )


@dataclass(frozen=True)
class Entry:
    """A phase with its energy.

    Attributes:
        composition: formula, such as ``"AlNi3"``; its multiples are the same.
        energy_ev_per_atom: total energy.
        name: as decompositions show it.
    """

    composition: str
    energy_ev_per_atom: float
    name: str


def energies_above_hull(entries: Sequence[Entry], references: Sequence[Entry] = ()) -> np.ndarray:
    """Return energies above the hull of all entries and references, eV/atom, shape (entries,), none negative.

    Raises:
        MissingElementError: an element has no entry of its own.
        HullError: an entry cannot be read, or has no finite energy, or has too many elements.
    """
    return build_hulls(entries, references).energies_above()


def decompositions(entries: Sequence[Entry], references: Sequence[Entry] = ()) -> list[str]:
    """Return what each entry decomposes into, such as ``"0.5 NaCl + 0.5 KCl"``: shares of the atoms, largest first.

    A corner of the hull decomposes into itself, a polymorph above it into the lowest one. An entry exactly on a line or
    plane between others may decompose into these: it costs nothing.

    Raises:
        HullError: as `energies_above_hull`.
    """
    return build_hulls(entries, references).decompositions()


def build_hulls(entries: Sequence[Entry], references: Sequence[Entry] = ()) -> "Hulls":
    """Build the hulls once for both views; errors as of `energies_above_hull`."""
    phases = _phases([*entries, *references])
    return Hulls(tuple(phases[: len(entries)]), tuple(_hulls(phases, len(entries))))


@dataclass(frozen=True)
class Hulls:
    """The hulls of all chemical systems of some entries; `build_hulls` makes it.

    Attributes:
        phases: the entries, read.
        parts: each hull, and which of the phases it answers.
    """

    phases: "tuple[_Phase, ...]"
    parts: "tuple[tuple[_Hull, list[int]], ...]"

    def energies_above(self) -> np.ndarray:
        """Return what `energies_above_hull` does."""
        above = np.full(len(self.phases), np.nan)
        for hull, numbers in self.parts:
            energies = np.array([self.phases[number].energy_ev_per_atom for number in numbers])
            above[numbers] = energies - (self._fractions(hull, numbers) @ hull.potentials.T).max(axis=1)
        if not (above >= -TOLERANCE_EV_PER_ATOM).all():  # also where it is NaN
            raise HullError(f"{above.min()=}: the hull came out wrong; look for entries of nearly equal composition")
        return np.where(above < ROUNDING_EV_PER_ATOM, 0.0, above)

    def decompositions(self) -> list[str]:
        """Return what `decompositions` does."""
        texts = [""] * len(self.phases)
        for hull, numbers in self.parts:
            for number, fractions in zip(numbers, self._fractions(hull, numbers), strict=True):
                texts[number] = hull.decomposition(fractions)
        return texts

    def _fractions(self, hull: "_Hull", numbers: Sequence[int]) -> np.ndarray:
        return hull.fractions([self.phases[number] for number in numbers])


@dataclass(frozen=True)
class _Phase:
    """What a hull is built of: an entry, read."""

    fractions: Mapping[str, float]
    energy_ev_per_atom: float
    name: str


@dataclass(frozen=True)
class _Hull:
    """The lower hull of one chemical system, as planes.

    Attributes:
        elements: of the system.
        corners: atomic fractions, shape (facets, corners, elements).
        energies: at the corners, shape (facets, corners), eV/atom.
        names: of the phases at the corners, shape (facets, corners).
    """

    elements: tuple[str, ...]
    corners: np.ndarray
    energies: np.ndarray
    names: np.ndarray

    @cached_property
    def potentials(self) -> np.ndarray:
        """Chemical potentials, shape (facets, elements): the highest plane is the hull, since it is convex."""
        return np.linalg.solve(self.corners, self.energies[..., None])[..., 0]

    def fractions(self, phases: Sequence[_Phase]) -> np.ndarray:
        """Return atomic fractions, shape (phases, elements)."""
        return np.array([[phase.fractions.get(element, 0.0) for element in self.elements] for phase in phases])

    def decomposition(self, fractions: np.ndarray) -> str:
        planes = self.potentials @ fractions
        touching = np.flatnonzero(planes >= planes.max() - TOLERANCE_EV_PER_ATOM)  # several, where facets are level
        shares = np.linalg.solve(self.corners[touching].transpose(0, 2, 1), fractions[:, None])[..., 0]
        inside = shares.min(axis=1).argmax()
        parts = sorted(zip(-shares[inside], self.names[touching[inside]], strict=True))
        return " + ".join(f"{-share:.4g} {name}" for share, name in parts if -share > 1e-6)


def _phases(entries: Sequence[Entry]) -> list[_Phase]:
    phases = [_phase(entry) for entry in entries]
    present = {element for phase in phases for element in phase.fractions}
    missing = present - {element for phase in phases if len(phase.fractions) == 1 for element in phase.fractions}
    if missing:
        raise MissingElementError(sorted(missing))
    return phases


def _phase(entry: Entry) -> _Phase:
    from pymatgen.core import Composition, Element

    if not np.isfinite(entry.energy_ev_per_atom):
        raise HullError(f"{entry=}: its energy is not finite; leave it out")
    try:
        amounts = Composition(entry.composition, strict=True).get_el_amt_dict()
        total = sum(amounts.values())
        fractions = {Element(symbol).symbol: amount / total for symbol, amount in amounts.items() if amount}
        if not fractions:
            raise ValueError("no atoms")
    except ValueError as error:
        raise HullError(f"{entry=}: its composition is no formula; write it as AlNi3: {error}") from error
    if len(fractions) > MAX_ELEMENTS:
        raise HullError(f"{entry=}: has {len(fractions)} elements; leave it out, {MAX_ELEMENTS} can be treated")
    return _Phase(fractions, float(entry.energy_ev_per_atom), entry.name)


def _hulls(phases: Sequence[_Phase], wanted: int) -> Iterator[tuple[_Hull, list[int]]]:
    """Return a hull for each system that is part of no other, and which of the first `wanted` phases it answers."""
    lowest = _lowest(phases)
    by_system: dict[frozenset[str], list[_Phase]] = {}
    for phase in lowest:
        by_system.setdefault(frozenset(phase.fractions), []).append(phase)
    answered: dict[frozenset[str], list[int]] = {}
    for number, phase in enumerate(phases[:wanted]):
        answered.setdefault(frozenset(phase.fractions), []).append(number)
    done: set[frozenset[str]] = set()
    for system in sorted(answered, key=lambda one: (-len(one), sorted(one))):  # the large first: they hold the small
        if system in done:
            continue
        parts = [frozenset(part) for size in range(1, len(system) + 1) for part in combinations(system, size)]
        numbers = [number for part in parts if part not in done for number in answered.get(part, [])]
        done.update(parts)
        yield _hull([phase for part in parts for phase in by_system.get(part, [])]), numbers


def _lowest(phases: Sequence[_Phase]) -> list[_Phase]:
    """Return the lowest polymorph of each composition; pymatgen would take formulas that differ by a factor as two."""
    lowest: dict[frozenset[tuple[str, float]], _Phase] = {}
    for phase in phases:
        key = frozenset((element, round(fraction, DIGITS)) for element, fraction in phase.fractions.items())
        if key not in lowest or phase.energy_ev_per_atom < lowest[key].energy_ev_per_atom:
            lowest[key] = phase
    return list(lowest.values())


def _hull(phases: Sequence[_Phase]) -> _Hull:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    diagram = PhaseDiagram(
        [PDEntry(Composition(phase.fractions), phase.energy_ev_per_atom, phase.name) for phase in phases]
    )
    return _planes(diagram)


def _planes(diagram: "PhaseDiagram") -> _Hull:
    entries = diagram.qhull_entries
    facets = np.array([np.atleast_1d(facet) for facet in diagram.facets], int).reshape(-1, diagram.dim)
    rows = [[entry.composition.get_atomic_fraction(element) for element in diagram.elements] for entry in entries]
    energies = np.array([entry.energy_per_atom for entry in entries])
    names = np.array([entry.name for entry in entries], object)
    symbols = tuple(element.symbol for element in diagram.elements)
    return _Hull(symbols, np.array(rows)[facets], energies[facets], names[facets])
