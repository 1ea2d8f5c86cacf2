"""Structures checked and put into arrays on the host, all at once: a GPU answers one in the time of a few calls."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

HEAVIEST_ELEMENT = 94
# The shortest bond there is, in H2, has 0.74 angstrom. Closer pairs are sites listed twice or coordinates in a wrong
# unit; a potential answers them with any number.
MIN_DISTANCE_A = 0.5
MIN_RELATIVE_VOLUME = 1e-4  # of the product of the lengths; sheared but sane descriptions of a lattice stay above 1e-3
MOST_ROUNDS = 100  # each shortens by half where it does anything; sane cells need a few
MARGIN_A = 1e-4  # what is counted here reaches a little further than the device's rounding could


@dataclass(frozen=True)
class Structures:
    """Structures one after the other.

    Attributes:
        numbers: atomic numbers, shape (atoms,).
        fractional: positions in units of the cell vectors, shape (atoms, 3); any image will do.
        counts: atoms of each structure, shape (structures,).
        cells: compact cell vectors of the same lattices in rows, angstrom, shape (structures, 3, 3).
    """

    numbers: np.ndarray
    fractional: np.ndarray
    counts: np.ndarray
    cells: np.ndarray

    def __len__(self) -> int:
        """Return the number of structures."""
        return len(self.counts)

    @property
    def starts(self) -> np.ndarray:
        """Return the first atom of each structure, and the end."""
        return np.concatenate([[0], np.cumsum(self.counts)])

    @property
    def owner(self) -> np.ndarray:
        """Return the structure of each atom."""
        return np.repeat(np.arange(len(self)), self.counts)

    @property
    def pairs(self) -> np.ndarray:
        """Return the number of pairs ``i <= j`` of each structure."""
        return self.counts * (self.counts + 1) // 2

    def rows(self, places: np.ndarray) -> np.ndarray:
        """Return the atoms of some structures, one structure after the other."""
        counts = self.counts[places]
        return np.repeat(self.starts[places] - np.cumsum(counts) + counts, counts) + np.arange(counts.sum())

    def take(self, places: np.ndarray) -> "Structures":
        """Return some of the structures, in the order of `places`."""
        rows = self.rows(places)
        return Structures(self.numbers[rows], self.fractional[rows], self.counts[places], self.cells[places])


def read_structures(structures: Sequence["Atoms"]) -> tuple[Structures, np.ndarray, dict[int, str]]:
    """Check structures by themselves and put the good ones into arrays.

    Args:
        structures: periodic in three directions; calculators are not looked at.

    Returns:
        The good ones; their places in the sequence; for the place of every other what is wrong with it.
    """
    refused = refusals(structures)
    places = np.array([place for place in range(len(structures)) if place not in refused], int)
    good = [structures[place] for place in places]
    counts = np.array([len(atoms) for atoms in good], int)
    cells = compact(np.array([atoms.cell.array for atoms in good], float).reshape(-1, 3, 3))
    positions = np.concatenate([np.empty((0, 3)), *(atoms.positions for atoms in good)])
    numbers = np.concatenate([np.empty(0, np.int32), *(atoms.numbers for atoms in good)]).astype(np.int32)
    inverses = np.repeat(np.linalg.inv(cells), counts, axis=0)
    fractional = np.einsum("ai,aij->aj", positions, inverses)
    return Structures(numbers, fractional - np.floor(fractional), counts, cells), places, refused


def refusals(structures: Sequence["Atoms"], known: Callable[[np.ndarray], np.ndarray] | None = None) -> dict[int, str]:
    """Return what is wrong with structures, by place, as far as no distance between atoms is needed to tell.

    Args:
        structures: to be answered.
        known: tells of atomic numbers whether the potential knows them; None for CHGNet's, 1 to 94.
    """
    known = known or _known_to_chgnet
    owner = np.repeat(np.arange(len(structures)), [len(atoms) for atoms in structures])
    numbers = np.concatenate([np.empty(0, int), *(atoms.numbers for atoms in structures)])
    positions = np.concatenate([np.empty((0, 3)), *(atoms.positions for atoms in structures)])
    cells = np.array([atoms.cell.array for atoms in structures], float).reshape(-1, 3, 3)
    with np.errstate(all="ignore"):
        volumes, lengths = np.abs(np.linalg.det(cells)), np.linalg.norm(cells, axis=2).prod(1)
        flat = ~(volumes > MIN_RELATIVE_VOLUME * lengths)
    strange = np.bincount(owner[~np.isfinite(positions).all(1)], minlength=len(structures)) > 0
    strange |= ~np.isfinite(cells).all((1, 2))
    unknown = np.bincount(owner[~known(numbers)], minlength=len(structures)) > 0
    reasons: dict[int, str] = {}
    other = np.array([not len(one) or not one.pbc.all() for one in structures], bool)
    for place in np.flatnonzero(flat | strange | unknown | other).tolist():
        atoms = structures[place]
        reasons[place] = f"{atoms.get_chemical_formula()!r} has " + (
            "no atoms"
            if not len(atoms)
            else f"pbc={atoms.pbc.tolist()}; the potential knows crystals only: periodic in three directions"
            if not atoms.pbc.all()
            else f"atomic numbers {sorted({*atoms.numbers[~known(atoms.numbers)].tolist()})}, unknown to the model"
            if unknown[place]
            else "positions or cell vectors that are not finite"
            if strange[place]
            else f"a flat cell of volume={volumes[place]:.3g} cubic angstrom; give three independent vectors"
        )
    return reasons


def overlapping(closest_a: float) -> str:
    """Return what is wrong with a structure whose atoms come closer than `MIN_DISTANCE_A`."""
    return f"has atoms {closest_a:.3f} angstrom apart; remove sites that are listed twice"


def compact(cells: np.ndarray) -> np.ndarray:
    """Return short vectors of the same lattices: along a sheared cell's the cutoff reaches hundreds of images.

    Vectors are shortened by each other, two at a time, until ``2 |a b| <= min(a^2, b^2)``; all cells together.
    """
    cells, left = cells.copy(), np.arange(len(cells))
    for _ in range(MOST_ROUNDS):
        products = cells[left] @ cells[left].transpose(0, 2, 1)
        squared = np.diagonal(products, axis1=1, axis2=2)
        limit = 1.001 * np.minimum(squared[:, :, None], squared[:, None, :]) + 2 * squared[:, :, None] * np.eye(3)
        left = left[(2 * np.abs(products) > limit).any((1, 2))]
        if not len(left):
            break
        cells[left] = _shortened(cells[left])
    return cells


def _shortened(cells: np.ndarray) -> np.ndarray:
    """Subtract from the longer vector of each pair what it has of the shorter one."""
    for one, other in itertools.permutations(range(3), 2):
        product = (cells[:, one] * cells[:, other]).sum(1)
        squared_one, squared_other = (cells[:, [one, other]] ** 2).sum(2).T
        times = np.where(squared_one >= squared_other, np.rint(product / squared_other), 0)
        cells[:, one] -= times[:, None] * cells[:, other]
    return cells


def reach(cells: np.ndarray, cutoff_a: float) -> np.ndarray:
    """Return how many images along each vector lie within the cutoff of a pair reduced to the nearest half of it."""
    heights = 1 / np.linalg.norm(np.linalg.inv(cells), axis=1)
    return np.floor((cutoff_a + MARGIN_A) / heights + 0.5).astype(int)


def box(reached: np.ndarray) -> np.ndarray:
    """Return all shifts up to those along each vector, shape (images, 3)."""
    return np.array(list(itertools.product(*(range(-n, n + 1) for n in reached))), np.int32)


def _known_to_chgnet(numbers: np.ndarray) -> np.ndarray:
    return (numbers >= 1) & (numbers <= HEAVIEST_ELEMENT)
