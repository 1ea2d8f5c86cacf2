"""Structures packed into batches of few different shapes, on the host."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from physics.mlip.neighbours import UNREACHABLE, Capacities, Crystals
from physics.mlip.reading import Structures, box, reach
from physics.mlip.sizes import Sizes

PADDED_ROWS = 64  # at least; the sums into one row wait for each other on a GPU
WASTE = 1.3  # of a known shape, at most
FINE, COARSE = 1.1, 1.5  # ratios of successive capacities: the finer, the more time they cost


@dataclass(frozen=True)
class Shape:
    """Sizes of all arrays of a batch: one program is compiled for each.

    Attributes:
        atoms: rows of atoms, padding included.
        structures: rows of structures.
        images: shifts that are tried, shape (images, 3).
        capacities: of the graph.
    """

    atoms: int
    structures: int
    images: np.ndarray
    capacities: Capacities


@dataclass(frozen=True)
class Stack:
    """Batches of one shape, to be computed by one program, one batch after the other.

    Attributes:
        members: of each batch, its structures.
        crystals: arrays of all batches, padded, with a leading axis of batches.
        capacities: sizes of the graph of each batch, with room for padding.
    """

    members: tuple[np.ndarray, ...]
    crystals: Crystals
    capacities: Capacities


def pack(
    structures: Structures, sizes: Sizes, cutoff_a: float, bond_budget: int, depth: int, known: list[Shape]
) -> Iterator[Stack]:
    """Pack structures into batches of few shapes: compiling one takes as long as answering hundreds of structures.

    Small structures are dealt out so that every batch has its share of dense and of open ones: one shape fits all
    tightly. Structures above half of the budget are batches of their own, with a shape for each size class.

    Args:
        structures: in any order.
        sizes: of them.
        cutoff_a: reach of a bond, angstrom.
        bond_budget: bonds of a batch, about.
        depth: batches in a stack, at most.
        known: shapes that programs exist for; new ones are added.
    """
    reached = reach(structures.cells, cutoff_a)
    small, *classes = size_classes(sizes, bond_budget)
    for batches in [_deal(sizes, small, bond_budget), *([np.array([place]) for place in one] for one in classes)]:
        shape = settled(shape_of(structures, sizes, reached, batches), known)
        for start in range(0, len(batches), depth):
            yield _stack(structures, batches[start : start + depth], shape, depth)


def size_classes(sizes: Sizes, bond_budget: int) -> list[np.ndarray]:
    """Return all structures up to half of the budget, then larger ones of about one size each."""
    is_large = 2 * sizes.bonds > bond_budget
    classes: dict[int, list[int]] = {}
    for place in np.flatnonzero(is_large).tolist():
        classes.setdefault(round_up(int(sizes.bonds[place]), COARSE), []).append(place)
    return [np.flatnonzero(~is_large), *map(np.array, classes.values())]


def round_up(size: int, ratio: float) -> int:
    """Return the least ``8 ratio^k``, rounded up to a multiple of 8, that is not below `size`."""
    steps = max(0, math.ceil(math.log(max(size, 1) / 8, ratio) - 1e-9))
    return next(grid for k in itertools.count(max(0, steps - 1)) if (grid := _on_grid(k, ratio)) >= size)


def _on_grid(k: int, ratio: float) -> int:
    return 8 * math.ceil(ratio**k - 1e-9)


def shape_of(structures: Structures, sizes: Sizes, reached: np.ndarray, batches: Sequence[np.ndarray]) -> Shape:
    """Round up the sizes of the largest batch, each size by itself; those that cost the most time finely."""

    def most(of_structures: np.ndarray) -> int:
        return max((int(of_structures[batch].sum()) for batch in batches), default=0)

    members = np.concatenate([np.empty(0, int), *batches])
    short = round_up(most(sizes.short) + PADDED_ROWS, FINE**2)
    bonds = short + round_up(most(sizes.long) + PADDED_ROWS, FINE)
    return Shape(
        atoms=round_up(most(structures.counts) + PADDED_ROWS, COARSE),
        structures=round_up(max((len(batch) for batch in batches), default=0), COARSE),
        images=padded_box(reached[members].max(0, initial=0)),
        capacities=Capacities(
            round_up(most(structures.pairs), COARSE), bonds, short, round_up(most(sizes.angles), FINE)
        ),
    )


def settled(tight: Shape, known: list[Shape]) -> Shape:
    """Return the least known shape that has room, unless it would waste more than a new program is worth."""
    roomy = [one for one in known if _has_room(one, tight)]
    if not roomy:
        known.append(tight)
        return tight
    best = min(roomy, key=lambda one: one.capacities.bonds + one.capacities.angles)
    images = np.full_like(best.images, UNREACHABLE)
    images[: len(tight.images)] = tight.images
    return replace(best, images=images)


def _has_room(shape: Shape, tight: Shape) -> bool:
    there, needed = _rows(shape), _rows(tight)
    tried, wanted = (one.capacities.pairs * len(one.images) for one in (shape, tight))
    return bool((there >= needed).all() and (there[:3] <= WASTE * needed[:3]).all() and tried <= 2 * WASTE * wanted)


def _rows(shape: Shape) -> np.ndarray:
    """Return all sizes, first those that cost the most time."""
    room = shape.capacities
    long = room.bonds - room.short
    return np.array([long, room.short, room.angles, room.pairs, shape.atoms, shape.structures, len(shape.images)])


def padded_box(reached: np.ndarray) -> np.ndarray:
    """Return all shifts up to those along each vector, and some that are out of reach."""
    shifts = box(reached)
    padded = np.full((round_up(len(shifts), COARSE), 3), UNREACHABLE, np.int32)
    padded[: len(shifts)] = shifts
    return padded


def _deal(sizes: Sizes, small: np.ndarray, bond_budget: int) -> list[np.ndarray]:
    """Deal structures to batches, the largest first, back and forth, so that every batch gets about the same."""
    count = math.ceil(sizes.bonds[small].sum() / bond_budget)
    if not count:
        return []
    share = sum(size[small] / max(size[small].sum(), 1) for size in (sizes.bonds, sizes.angles))
    order = small[np.argsort(-np.asarray(share), kind="stable")]
    turn, hand = np.divmod(np.arange(len(order)), count)
    hand = np.where(turn % 2, count - 1 - hand, hand)
    return [order[hand == one] for one in range(count)]


def _stack(structures: Structures, batches: Sequence[np.ndarray], shape: Shape, depth: int) -> Stack:
    """Put batches one upon the other; those that are missing are padding alone."""
    nothing = np.empty(0, int)
    padded = [_padded(structures.take(batch), shape) for batch in (*batches, *[nothing] * (depth - len(batches)))]
    crystals = Crystals(*(jnp.asarray(np.stack(parts)) for parts in zip(*padded, strict=True)))
    return Stack(tuple(batches), crystals, shape.capacities)


def _padded(structures: Structures, shape: Shape) -> tuple[np.ndarray, ...]:
    """Return the arrays of `Crystals` in their order."""
    atoms, slots = len(structures.numbers), shape.structures
    numbers, owner = np.ones(shape.atoms, np.int32), np.full(shape.atoms, slots, np.int32)
    fractional = np.zeros((shape.atoms, 3), np.float32)
    cells = np.tile(np.eye(3, dtype=np.float32), (slots, 1, 1))
    numbers[:atoms], owner[:atoms] = structures.numbers, structures.owner
    fractional[:atoms], cells[: len(structures)] = structures.fractional, structures.cells
    return numbers, fractional, owner, cells, shape.images
