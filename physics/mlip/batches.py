"""Structures checked, measured and packed into batches of few different shapes, on the host."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from physics.mlip.neighbours import Capacities, Crystals

if TYPE_CHECKING:
    from ase import Atoms

HEAVIEST_ELEMENT = 94
# The shortest bond there is, in H2, has 0.74 angstrom. Closer pairs are sites listed twice or coordinates in a wrong
# unit; a potential answers them with any number.
MIN_DISTANCE_A = 0.5
MIN_RELATIVE_VOLUME = 1e-4  # of the product of the lengths; sheared but sane descriptions of a lattice stay above 1e-3
MARGIN_A = 1e-4  # the host measures a little further than the device's rounding could reach
MAX_TRIED = 2**30  # pairs times images: 4 GiB of running counts
ROW_BLOCK = 2**20
UNREACHABLE = 10_000  # shift of images that are padding
PADDED_ROWS = 64  # at least; the sums into one row wait for each other on a GPU
FINE, MIDDLE, COARSE = 1.1, 1.25, 1.5  # ratios of successive capacities: the finer, the more time they cost


class StructureError(ValueError):
    """A structure that the potential cannot answer: names its place in the batch, its formula and the remedy."""


@dataclass(frozen=True)
class Crystal:
    """One structure, checked, and the size of its graph.

    Attributes:
        numbers: atomic numbers, shape (atoms,).
        fractional: positions in units of the cell vectors, in [0, 1), shape (atoms, 3).
        cell: compact cell vectors of the same lattice in rows, angstrom.
        reach: largest shift along each cell vector between atoms within the cutoff, reduced to the nearest half.
        bonds: undirected.
        short: undirected and short.
        long: undirected and not short; a bond within the margin of the shorter cutoff counts as both.
        angles: ordered pairs of directed short edges on one centre.
    """

    numbers: np.ndarray
    fractional: np.ndarray
    cell: np.ndarray
    reach: tuple[int, int, int]
    bonds: int
    short: int
    long: int
    angles: int

    @property
    def atoms(self) -> int:
        """Return the number of atoms."""
        return len(self.numbers)

    @property
    def pairs(self) -> int:
        """Return the number of pairs ``i <= j``."""
        return self.atoms * (self.atoms + 1) // 2


@dataclass(frozen=True)
class Stack:
    """Batches of one shape, to be computed by one program, one batch after the other.

    Attributes:
        members: of each batch, the places of its structures in the sequence that was packed.
        crystals: arrays of all batches, padded, with a leading axis of batches.
        capacities: sizes of the graph of each batch, with room for padding.
    """

    members: tuple[tuple[int, ...], ...]
    crystals: Crystals
    capacities: Capacities


def read_crystal(atoms: "Atoms", index: int, atom_cutoff_a: float, bond_cutoff_a: float) -> Crystal:
    """Check and measure one structure.

    Args:
        atoms: periodic in three directions.
        index: its place, for the messages.
        atom_cutoff_a: reach of a bond, angstrom.
        bond_cutoff_a: reach of a short one.

    Raises:
        StructureError: it is empty, not periodic, flat, has unknown elements, values that are not finite, atoms on top
            of each other or without any neighbour.
    """
    numbers, cell = atoms.numbers.astype(np.int32), np.array(atoms.cell, float)
    where = f"structure {index=} formula={atoms.get_chemical_formula()!r}"
    _check(atoms, numbers, cell, where)
    cell = _compact(cell)
    fractional = atoms.positions @ np.linalg.inv(cell)
    fractional = fractional - np.floor(fractional)
    reach = _reach(cell, atom_cutoff_a + MARGIN_A)
    shifts = _box(reach)
    if len(numbers) ** 2 * len(shifts) > MAX_TRIED:
        raise StructureError(f"{where} needs {len(shifts)} periodic images of {len(numbers)} atoms; reduce its cell")
    cutoffs_a = atom_cutoff_a + MARGIN_A, bond_cutoff_a + MARGIN_A, bond_cutoff_a - MARGIN_A
    (near, short, surely_short), closest_a = _degrees(fractional, cell, shifts, cutoffs_a)
    if closest_a < MIN_DISTANCE_A:
        raise StructureError(f"{where} has atoms {closest_a:.3f} angstrom apart; remove sites that are listed twice")
    if not near.all():
        lonely = int(np.flatnonzero(near == 0)[0])
        raise StructureError(
            f"{where} has no neighbour of atom {lonely} within {atom_cutoff_a} angstrom; reduce vacuum"
        )
    bonds, long = int(near.sum()) // 2, int(near.sum() - surely_short.sum()) // 2
    return Crystal(
        numbers, fractional, cell, reach, bonds, int(short.sum()) // 2, long, int((short * (short - 1)).sum())
    )


def pack(crystals: Sequence[Crystal], bond_budget: int, depth: int) -> Iterator[Stack]:
    """Pack structures into batches of few shapes: compiling one takes as long as answering hundreds of structures.

    Small structures are dealt out so that every batch has its share of dense and of open ones: one shape fits all
    tightly. Structures above half of the budget are batches of their own, with a shape for each size class.

    Args:
        crystals: in any order.
        bond_budget: bonds of a batch, about.
        depth: batches in a stack, at most.
    """
    large: dict[int, list[list[int]]] = {}
    small = []
    for index, crystal in enumerate(crystals):
        if 2 * crystal.bonds > bond_budget:
            large.setdefault(round_up(crystal.bonds, COARSE), []).append([index])
        else:
            small.append(index)
    for batches in [_deal(crystals, small, bond_budget), *large.values()]:
        shape = _shape(crystals, batches)
        for start in range(0, len(batches), depth):
            yield _stack(crystals, batches[start : start + depth], shape, depth)


def round_up(size: int, ratio: float) -> int:
    """Return the least ``8 ratio^k``, rounded up to a multiple of 8, that is not below `size`."""
    steps = max(0, math.ceil(math.log(max(size, 1) / 8, ratio) - 1e-9))
    return next(grid for k in itertools.count(max(0, steps - 1)) if (grid := _on_grid(k, ratio)) >= size)


def _on_grid(k: int, ratio: float) -> int:
    return 8 * math.ceil(ratio**k - 1e-9)


def _deal(crystals: Sequence[Crystal], small: Sequence[int], bond_budget: int) -> list[list[int]]:
    """Deal structures to batches, the largest first, each to the batch that is then least full of bonds and angles."""
    sizes = np.array([[crystals[index].bonds, crystals[index].angles] for index in small], float).reshape(-1, 2)
    count = math.ceil(sizes[:, 0].sum() / bond_budget)
    sizes /= np.maximum(sizes.sum(0), 1)
    hands: list[list[int]] = [[] for _ in range(count)]
    held = np.zeros((count, 2))
    for place in np.argsort(-sizes.max(1), kind="stable"):
        hand = int(np.argmin(np.maximum(held[:, 0] + sizes[place, 0], held[:, 1] + sizes[place, 1])))
        hands[hand].append(small[place])
        held[hand] += sizes[place]
    return hands


@dataclass(frozen=True)
class _Shape:
    atoms: int
    structures: int
    shifts: np.ndarray
    capacities: Capacities


def _shape(crystals: Sequence[Crystal], batches: Sequence[Sequence[int]]) -> _Shape:
    """Round up the sizes of the largest batch, each size by itself."""

    def most(attribute: str) -> int:
        return max((sum(getattr(crystals[index], attribute) for index in batch) for batch in batches), default=0)

    reach = [max((crystals[i].reach[axis] for batch in batches for i in batch), default=0) for axis in range(3)]
    short = round_up(most("short") + PADDED_ROWS, MIDDLE)
    bonds = short + round_up(most("long") + PADDED_ROWS, FINE)
    return _Shape(
        atoms=round_up(most("atoms") + PADDED_ROWS, COARSE),
        structures=round_up(max((len(batch) for batch in batches), default=0), COARSE),
        shifts=_padded_box(reach),
        capacities=Capacities(round_up(most("pairs"), COARSE), bonds, short, round_up(most("angles"), FINE)),
    )


def _stack(crystals: Sequence[Crystal], batches: Sequence[Sequence[int]], shape: _Shape, depth: int) -> Stack:
    """Concatenate and pad the structures of each batch."""
    rows, slots = shape.atoms, shape.structures
    numbers, owner = np.ones((depth, rows), np.int32), np.full((depth, rows), slots, np.int32)
    fractional = np.zeros((depth, rows, 3), np.float32)
    cells = np.tile(np.eye(3, dtype=np.float32), (depth, slots, 1, 1))
    for row, batch in enumerate(batches):
        chosen = [crystals[index] for index in batch]
        atoms = sum(crystal.atoms for crystal in chosen)
        numbers[row, :atoms] = np.concatenate([crystal.numbers for crystal in chosen])
        owner[row, :atoms] = np.repeat(np.arange(len(chosen)), [crystal.atoms for crystal in chosen])
        fractional[row, :atoms] = np.concatenate([crystal.fractional for crystal in chosen])
        cells[row, : len(chosen)] = [crystal.cell for crystal in chosen]
    images = np.broadcast_to(shape.shifts, (depth, *shape.shifts.shape))
    arrays = Crystals(*(jnp.asarray(array) for array in (numbers, fractional, owner, cells, images)))
    return Stack(tuple(tuple(batch) for batch in batches), arrays, shape.capacities)


def _padded_box(reach: Sequence[int]) -> np.ndarray:
    shifts = _box(reach)
    padded = np.full((round_up(len(shifts), COARSE), 3), UNREACHABLE, np.int32)
    padded[: len(shifts)] = shifts
    return padded


def _check(atoms: "Atoms", numbers: np.ndarray, cell: np.ndarray, where: str) -> None:
    if len(numbers) == 0:
        raise StructureError(f"{where} has no atoms")
    if not atoms.pbc.all():
        raise StructureError(
            f"{where} has pbc={atoms.pbc.tolist()}; CHGNet knows crystals only: periodic in three directions"
        )
    if not (1 <= numbers.min() and numbers.max() <= HEAVIEST_ELEMENT):
        unknown = sorted({int(z) for z in numbers if not 1 <= z <= HEAVIEST_ELEMENT})
        raise StructureError(f"{where} has atomic numbers {unknown}; CHGNet knows 1 to {HEAVIEST_ELEMENT}")
    if not (np.isfinite(atoms.positions).all() and np.isfinite(cell).all()):
        raise StructureError(f"{where} has positions or cell vectors that are not finite")
    volume = abs(np.linalg.det(cell))
    if volume <= MIN_RELATIVE_VOLUME * np.linalg.norm(cell, axis=1).prod():
        raise StructureError(f"{where} has a flat cell of {volume=:.3g} cubic angstrom; give three independent vectors")


def _compact(cell: np.ndarray) -> np.ndarray:
    """Return short vectors of the same lattice: along a sheared cell's the cutoff reaches hundreds of images."""
    from ase.geometry import minkowski_reduce

    squared = cell @ cell.T
    lengths = np.diag(squared)
    is_compact = 2 * np.abs(squared) <= 1.001 * np.minimum(lengths[:, None], lengths) + 2 * np.diag(lengths)
    return cell if is_compact.all() else np.asarray(minkowski_reduce(cell)[0])


def _reach(cell: np.ndarray, cutoff_a: float) -> tuple[int, int, int]:
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    x, y, z = np.floor(cutoff_a / heights + 0.5).astype(int).tolist()
    return x, y, z


def _box(reach: Sequence[int]) -> np.ndarray:
    return np.array(list(itertools.product(*(range(-n, n + 1) for n in reach))), np.int32)


def _degrees(
    fractional: np.ndarray, cell: np.ndarray, shifts: np.ndarray, cutoffs_a: Sequence[float]
) -> tuple[list[np.ndarray], float]:
    """Count each atom's neighbours within every cutoff and find the shortest distance."""
    atoms = len(fractional)
    block = max(1, ROW_BLOCK // (atoms * len(shifts)))
    images, closest = shifts @ cell, np.inf
    degrees: list[list[np.ndarray]] = [[] for _ in cutoffs_a]
    for start in range(0, atoms, block):
        difference = fractional[None, :, :] - fractional[start : start + block, None, :]
        vectors = (difference - np.round(difference)).reshape(-1, 3) @ cell
        squared = (vectors**2).sum(1)[:, None] + 2 * vectors @ images.T + (images**2).sum(1)
        squared = squared.reshape(-1, atoms, len(shifts))
        own = np.arange(len(squared))
        squared[own, start + own, len(shifts) // 2] = np.inf  # the atom itself: the box is symmetric about no shift
        for found, cutoff in zip(degrees, cutoffs_a, strict=True):
            found.append((squared < cutoff**2).sum((1, 2)))
        closest = min(closest, squared.min())
    return [np.concatenate(found) for found in degrees], math.sqrt(max(closest, 0.0))
