"""Structures on the host between two voyages of a fleet, and how much of a shape's room they take."""

import math
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import numpy as np

from physics.mlip import fire
from physics.mlip.fleet import RUNNING, SKIN_A, Fleet, PerAtom, PerStructure
from physics.mlip.neighbours import Capacities
from physics.mlip.packing import COARSE, PADDED_ROWS, Shape, round_up
from physics.mlip.reading import Structures
from physics.mlip.sizes import Sizes

FULL = 0.95  # of a capacity, when places are filled: cells shrink
CLOSE = 1.02  # one shape for thousands of steps: fitted closely in what costs time
ROOMY = 1.5  # atoms and their pairs cost little beside bonds and angles, and must not be what a fleet runs out of


@dataclass(frozen=True)
class Load:
    """Structures on the host between two voyages; `needs` as `needs_of` gives them."""

    places: np.ndarray
    counts: np.ndarray
    atoms: PerAtom
    structures: PerStructure
    needs: np.ndarray

    def __len__(self) -> int:
        return len(self.counts)

    def take(self, chosen: np.ndarray) -> "Load":
        """Return some of them; `chosen` is a mask."""
        rows = np.repeat(chosen, self.counts)
        return Load(
            self.places[chosen],
            self.counts[chosen],
            jax.tree.map(lambda leaf: leaf[rows], self.atoms),
            jax.tree.map(lambda leaf: leaf[chosen], self.structures),
            self.needs[chosen],
        )


def begin(structures: Structures, places: np.ndarray, needs: np.ndarray) -> Load:
    """Return structures at rest."""
    count, real = len(structures), np.float32
    atoms = PerAtom(structures.numbers, structures.fractional.astype(real), np.zeros_like(structures.fractional, real))
    pace = fire.Pace(
        np.full(count, fire.FIRST_TIME_STEP, real), np.full(count, fire.MIXING, real), np.zeros(count, np.int32)
    )
    nothing = np.zeros(count, np.int32)
    cells = structures.cells.astype(real)
    still = np.zeros_like(cells)
    state = PerStructure(cells, cells, still, still, pace, nothing, nothing + RUNNING)
    return Load(places, structures.counts, atoms, state, needs)


def join(one: Load, other: Load) -> Load:
    """Put the structures of one behind those of the other."""

    def both(first: Any, second: Any) -> Any:
        return jax.tree.map(lambda a, b: np.concatenate([a, b]), first, second)

    return Load(
        np.concatenate([one.places, other.places]), np.concatenate([one.counts, other.counts]),
        both(one.atoms, other.atoms), both(one.structures, other.structures), both(one.needs, other.needs),
    )  # fmt: skip


def fleet_of(load: Load, shape: Shape) -> Fleet:
    """Pad a load to the shape."""
    atoms, slots = int(load.counts.sum()), shape.structures
    owner = np.full(shape.atoms, slots, np.int32)
    owner[:atoms] = np.repeat(np.arange(len(load)), load.counts)

    def pad(leaf: Any, rows: int, value: Any) -> np.ndarray:
        padded = np.empty((rows, *leaf.shape[1:]), leaf.dtype)
        padded[: len(leaf)], padded[len(leaf) :] = leaf, value
        return padded

    per_atom = jax.tree.map(lambda leaf: pad(leaf, shape.atoms, 1 if leaf.ndim == 1 else 0), load.atoms)
    state = jax.tree.map(lambda leaf: pad(leaf, slots, 1), load.structures)  # an outcome of 1 does not run
    unit = np.eye(3, dtype=np.float32)
    cells, first = (pad(one, slots, unit) for one in (load.structures.cells, load.structures.first_cells))
    strain = pad(load.structures.strain, slots, 0)
    padded = eqx.tree_at(lambda state: (state.cells, state.first_cells, state.strain), state, (cells, first, strain))
    return Fleet(per_atom, padded, owner, shape.images)


def as_structures(load: Load) -> Structures:
    """Return the structures as they are now."""
    fractional, cells = np.asarray(load.atoms.fractional, float), np.asarray(load.structures.cells, float)
    return Structures(np.asarray(load.atoms.numbers), fractional, load.counts, cells)


def as_running(load: Load, runs: np.ndarray) -> Load:
    """Take back ends that were told in a voyage whose last answer is of no use: they will be told again."""
    steps = np.asarray(load.structures.steps) - ~runs
    changed = (np.full_like(steps, RUNNING), steps)
    now = eqx.tree_at(lambda state: (state.outcome, state.steps), load.structures, changed)
    return replace(load, structures=now)


def needs_of(sizes: Sizes, counts: np.ndarray) -> np.ndarray:
    """Return what each structure takes of every capacity, in the order of `room_of`."""
    pairs = counts * (counts + 1) // 2
    return np.column_stack([sizes.bonds, sizes.short, sizes.long, sizes.angles, pairs, counts, np.ones_like(counts)])


def room_of(shape: Shape, full: float = FULL) -> np.ndarray:
    """Return what there is of every capacity, of those that grow as cells shrink the part that may be filled."""
    room = shape.capacities
    growing = np.array([room.bonds, room.short, room.bonds - room.short, room.angles])
    return np.array([*(full * growing), room.pairs, shape.atoms - 1, shape.structures])


def fitted(needs: np.ndarray, bonds: float, least: np.ndarray, images: np.ndarray) -> Shape:
    """Return the shape that structures in the proportions of a load fill.

    Args:
        needs: of that load.
        bonds: undirected, to be held in all.
        least: needs that must find room in any case.
        images: shifts that are tried.
    """
    wanted = np.maximum(needs.sum(0) * bonds / max(needs[:, 0].sum(), 1), least)
    short, long, angles = (round_up(math.ceil(need / FULL) + PADDED_ROWS, CLOSE) for need in wanted[1:4])
    pairs, atoms, structures = (round_up(math.ceil(ROOMY * need), COARSE) for need in wanted[4:])
    return Shape(atoms + PADDED_ROWS, structures, images, Capacities(pairs, short + long, short, angles))


def divided(shape: Shape, by: int) -> Shape:
    """Return a shape of a fraction of the size."""
    if by == 1:
        return shape
    sizes = shape.capacities
    short, pairs, angles = (divide(size, by) for size in (sizes.short, sizes.pairs, sizes.angles))
    bonds = short + divide(sizes.bonds - sizes.short, by)
    capacities = Capacities(pairs, bonds, short, angles)
    return Shape(divide(shape.atoms, by), divide(shape.structures, by), shape.images, capacities)


def divide(size: int, by: int) -> int:
    """Return a fraction of a capacity, rounded up."""
    return size if by == 1 else round_up(size // by + 1, 1.1)


def enlarged(shape: Shape, needs: np.ndarray) -> Shape:
    """Return a shape that has room for one structure's needs as well."""
    room = shape.capacities
    bonds, short, long, angles = (math.ceil(need / FULL) for need in needs[:4])
    short, long = max(room.short, short), max(room.bonds - room.short, long, bonds - short)
    capacities = Capacities(max(room.pairs, int(needs[4])), short + long, short, max(room.angles, angles))
    return replace(shape, atoms=max(shape.atoms, int(needs[5]) + 1), capacities=capacities)


def candidates_of(shape: Shape, cutoff_a: float) -> int:
    """Return a capacity for all pairs within cutoff and skin."""
    return round_up(int(shape.capacities.bonds * (1 + SKIN_A / cutoff_a) ** 3 * 1.05), 1.1)
