"""Bonds and angles counted on the device, so that batches can be packed tightly."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from physics.mlip.compiling import compiled
from physics.mlip.neighbours import UNREACHABLE, Crystals, image_distances, paired_atoms
from physics.mlip.reading import MARGIN_A, Structures, box, reach

TRIED = {"cpu": 2**21, "gpu": 2**27}  # distances that are computed together
MOST_TRIED = 2**31  # of one structure: a running count of them has to fit into 32 bits


@dataclass(frozen=True)
class Sizes:
    """Of each structure, all shape (structures,). What is within the margin of a cutoff counts as within.

    Attributes:
        bonds: undirected.
        short: undirected and short.
        long: undirected and not short; within the margin of the shorter cutoff a bond counts as both.
        angles: ordered pairs of directed short edges on one centre.
        closest_a: shortest distance, angstrom; infinite where there is no bond.
        lonely: number, within the structure, of an atom without any bond; -1 for none.
        tried: pairs times images; where there are too many all else is zero.
    """

    bonds: np.ndarray
    short: np.ndarray
    long: np.ndarray
    angles: np.ndarray
    closest_a: np.ndarray
    lonely: np.ndarray
    tried: np.ndarray

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """Return all attributes in their order."""
        return self.bonds, self.short, self.long, self.angles, self.closest_a, self.lonely, self.tried

    def take(self, chosen: np.ndarray) -> "Sizes":
        """Return those of some structures; `chosen` holds places or is a mask."""
        return Sizes(*(column[chosen] for column in self.columns))


def measure(structures: Structures, atom_cutoff_a: float, bond_cutoff_a: float) -> Sizes:
    """Count what the graph of each structure will hold."""
    return start_measuring(structures, atom_cutoff_a, bond_cutoff_a)()


def start_measuring(structures: Structures, atom_cutoff_a: float, bond_cutoff_a: float) -> Callable[[], Sizes]:
    """Set the device to count what graphs will hold; return what waits for the counts."""
    reached = reach(structures.cells, atom_cutoff_a)
    tried = structures.pairs * (2 * reached + 1).prod(1)
    count = len(structures)
    bonds, short, long, angles = (np.zeros(count, int) for _ in range(4))
    sizes = Sizes(bonds, short, long, angles, np.full(count, np.inf), np.full(count, -1), tried)
    parts = [(part, *_crystals(structures.take(part), reached[part])) for part in _parts(tried)]
    cutoffs = jnp.float32(atom_cutoff_a), jnp.float32(bond_cutoff_a)
    found = [(part, _count_compiled(crystals, *cutoffs, pairs=pairs)) for part, crystals, pairs in parts]

    def counted() -> Sizes:
        for part, counts in jax.device_get(found):
            for column, count in zip(sizes.columns[:6], counts, strict=True):
                column[part] = count[: len(part)]
        return sizes

    return counted


def _parts(tried: np.ndarray) -> Iterator[np.ndarray]:
    """Yield structures that are tried together: those that need similarly many distances."""
    budget = TRIED.get(jax.default_backend(), TRIED["gpu"])
    order = np.argsort(tried, kind="stable")
    order = order[tried[order] < MOST_TRIED]
    start = 0
    while start < len(order):
        # every one counts as much as the largest so far, whose images all of them will be tried with
        within = tried[order[start:]] * np.arange(1, len(order) - start + 1) <= budget
        count = max(1, int(within.sum()))
        yield order[start : start + count]
        start += count


def _crystals(structures: Structures, reached: np.ndarray) -> tuple[Crystals, int]:
    """Pad to powers of two, so that there are few shapes."""
    shifts = box(reached.max(0))
    images = np.full((_power_of_two(len(shifts)), 3), UNREACHABLE, np.int32)
    images[: len(shifts)] = shifts
    atoms, slots = _power_of_two(len(structures.numbers) + 1), _power_of_two(len(structures))
    owner, fractional = np.full(atoms, slots, np.int32), np.zeros((atoms, 3), np.float32)
    cells = np.tile(np.eye(3, dtype=np.float32), (slots, 1, 1))
    owner[: len(structures.numbers)] = structures.owner
    fractional[: len(structures.numbers)] = structures.fractional
    cells[: len(structures)] = structures.cells
    arrays = (np.ones(atoms, np.int32), fractional, owner, cells, images)
    return Crystals(*(jnp.asarray(array) for array in arrays)), _power_of_two(int(structures.pairs.sum()))


def _power_of_two(size: int) -> int:
    return 1 << max(size - 1, 7).bit_length()


def _count(
    crystals: Crystals, atom_cutoff_a: Float[Array, ""], bond_cutoff_a: Float[Array, ""], pairs: int
) -> tuple[Int[Array, " structures"] | Float[Array, " structures"], ...]:
    """Return bonds, short ones, long ones, angles, the shortest distance and an atom without bonds."""
    atoms, slots = crystals.owner.shape[0], crystals.cells.shape[0]
    first, second, known, _ = paired_atoms(crystals, pairs)
    squared, is_tried = image_distances(crystals, first, second)
    squared = jnp.where(is_tried & known[:, None], squared, jnp.inf)
    near, short, surely_short = (
        _degrees(jnp.sum(squared < cutoff**2, axis=1, dtype=jnp.int32), first, second, atoms)
        for cutoff in (atom_cutoff_a + MARGIN_A, bond_cutoff_a + MARGIN_A, bond_cutoff_a - MARGIN_A)
    )

    def total(of_atoms: Int[Array, " atoms"]) -> Int[Array, " structures"]:
        return jax.ops.segment_sum(of_atoms, crystals.owner, num_segments=slots + 1)[:slots]

    closest = jax.ops.segment_min(jnp.min(squared, axis=1), crystals.owner[first], num_segments=slots + 1)[:slots]
    lonely = jnp.where(near == 0, jnp.arange(atoms, dtype=jnp.int32), atoms)
    lonely = jax.ops.segment_min(lonely, crystals.owner, num_segments=slots + 1)[:slots]
    lonely = jnp.where(lonely < atoms, lonely - jnp.searchsorted(crystals.owner, jnp.arange(slots)), -1)
    angles = total(short * (short - 1))
    return total(near) // 2, total(short) // 2, total(near - surely_short) // 2, angles, jnp.sqrt(closest), lonely


_count_compiled = compiled(_count, static=("pairs",))


def _degrees(
    bonds: Int[Array, " pairs"], first: Int[Array, " pairs"], second: Int[Array, " pairs"], atoms: int
) -> Int[Array, " atoms"]:
    """Count the directed edges that start at each atom; a bond to an own image starts there twice."""
    return jnp.zeros(atoms, jnp.int32).at[first].add(bonds).at[second].add(bonds)
