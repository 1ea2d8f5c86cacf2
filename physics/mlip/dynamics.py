"""CHGNet as an energy function of jax-md, for molecular dynamics of one crystal in a fixed cell.

From jax-md come integrators and thermostats (``jax_md.simulate``), shifts (``jax_md.space``) and ``jax_md.quantity``.
Its neighbour lists do not fit: those of ``partition`` hold nearest images only, the one of ``custom_partition`` holds
all images but no angles. So the list is ours and keeps jax-md's convention: `allocate` on the host, `update` anywhere,
``neighbor=`` for the energy::

    neighbours, energy = chgnet_energy(load_weights(), atoms)
    positions = jnp.asarray(atoms.positions, jnp.float32)
    near = neighbours.allocate(positions)
    init, step = simulate.nvt_langevin(energy, space.free()[1], dt=2 * FEMTOSECOND, kT=300 * KELVIN, gamma=0.1)
    masses = jnp.asarray(atoms.get_masses(), jnp.float32)
    state = compiled(init)(jax.random.key(0), positions, mass=masses, neighbor=near)
    run = repeated(step, 100)
    for _ in range(100):
        ended, near = run(state, near)
        if near.did_buffer_overflow:  # then `ended` is of no use
            near = neighbours.allocate(state.position)
        else:
            state = ended

Positions are Cartesian, in one piece or wrapped into the cell: `space.free` is the simplest that is exact. Units are
angstrom, eV and amu, so forces are eV/angstrom and the time unit is angstrom sqrt(amu / eV) = 10.18 fs. On a CPU, use
`compiling.compiled` in place of ``jax.jit``: jaxlib's faulty code generator is off only in what is compiled there.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from physics.mlip.chgnet import total_energy
from physics.mlip.compiling import compiled
from physics.mlip.fleet import SKIN_A
from physics.mlip.loads import candidates_of
from physics.mlip.neighbours import (
    Candidates,
    Capacities,
    Crystals,
    Graph,
    bond_vectors,
    inverse,
    outdated,
    search,
    select,
    to_cartesian,
)
from physics.mlip.packing import Shape, pack
from physics.mlip.reading import MIN_DISTANCE_A, Structures, read_structures
from physics.mlip.sizes import MOST_TRIED, Sizes, measure
from physics.mlip.weights import ChgnetWeights

if TYPE_CHECKING:
    from ase import Atoms

FEMTOSECOND = 0.098226948  # angstrom sqrt(amu / eV), CODATA 2018
KELVIN = 8.617333262e-5  # eV


class CrystalError(ValueError):
    """CHGNet has no answer for the crystal: not periodic, unknown elements, overlapping or lonely atoms."""


class Neighbours(eqx.Module):
    """What an energy needs beside positions: jax-md's ``NeighborList``, with images and room for angles.

    Attributes:
        crystals: the one crystal, padded; its positions are those of the allocation.
        candidates: all that can be bonds until atoms have moved by half the skin.
        did_buffer_overflow: whether bonds or angles once were more than there is room for; stays, and makes energies
            and forces NaN, until the list is allocated again.
        capacities: of the graph.
        cutoffs_a: reach of bonds and of those that have angles.
    """

    crystals: Crystals
    candidates: Candidates
    did_buffer_overflow: Bool[Array, ""]
    capacities: Capacities
    cutoffs_a: tuple[float, float] = eqx.field(static=True)

    def update(self, position: Float[Array, "atoms 3"]) -> "Neighbours":
        """Search again if an atom has moved by half the skin; traceable, shapes stay."""
        return self.graph(position)[0]

    def graph(self, position: Float[Array, "atoms 3"]) -> tuple["Neighbours", Graph]:
        """Return the updated list and the bonds and angles at the positions."""
        crystals = self.at(position)
        near = jax.lax.cond(
            outdated(self.candidates, crystals, self.cutoffs_a[0], SKIN_A),
            lambda crystals: _search(crystals, self.capacities, self.candidates.first.shape[0], self.cutoffs_a[0]),
            lambda _: self.candidates,
            crystals,
        )
        graph = select(near, crystals, self.capacities, *self.cutoffs_a)
        return Neighbours(
            self.crystals, near, self.did_buffer_overflow | graph.overflow, self.capacities, self.cutoffs_a
        ), graph

    def at(self, position: Float[Array, "atoms 3"]) -> Crystals:
        """Return the crystal with its atoms at the positions, in the images next to those of the last search."""
        crystals, before = self.crystals, self.candidates.fractional
        fractional = to_cartesian(position.astype(before.dtype), inverse(crystals.cells)[:1])
        fractional = jnp.concatenate([fractional, before[position.shape[0] :]])
        fractional -= jnp.round(fractional - before)
        return eqx.tree_at(lambda crystals: crystals.fractional, crystals, fractional)


class NeighbourFunctions(NamedTuple):
    """As ``jax_md.partition.NeighborListFns``.

    Attributes:
        allocate: measures positions and returns a list with room to spare; raises `CrystalError`; not traceable.
        update: `Neighbours.update`, positions first.
    """

    allocate: Callable[[Float[Array, "atoms 3"]], Neighbours]
    update: Callable[[Float[Array, "atoms 3"], Neighbours], Neighbours]


def chgnet_energy(
    weights: ChgnetWeights, atoms: "Atoms", capacity_multiplier: float = 1.25
) -> tuple[NeighbourFunctions, Callable[..., Float[Array, ""]]]:
    """Return functions for the list, and the energy of all atoms, eV, of ``(positions, neighbor=list)``.

    The energy is exact wherever the atoms are: bonds and angles are those within the cutoffs at the positions, and
    where these have left the skin it searches by itself, though only `update` keeps what it found. Its gradient is
    exact as well: less the forces, eV/angstrom. float32 leaves 6e-8 of the energy as noise.

    Args:
        weights: parameters, float32.
        atoms: the crystal; elements, their order and the cell are fixed, positions are not looked at.
        capacity_multiplier: room for bonds, relative to those at the allocation; angles get its square.
    """
    atoms = atoms.copy()  # the caller may change theirs

    def energy(
        position: Float[Array, "atoms 3"], neighbor: Neighbours, kT: float | Float[Array, ""] | None = None
    ) -> Float[Array, ""]:
        """Return eV; NaN, as is the gradient, where the list has overflowed. Thermostats pass ``kT`` on: not used."""
        _check_shape(position, atoms)
        near, graph = neighbor.graph(jax.lax.stop_gradient(position))
        crystals = near.at(position)
        _, (sites, _, _) = total_energy(weights, bond_vectors(crystals, graph), crystals, graph)
        sites = sites[: position.shape[0]]
        mean = jax.lax.stop_gradient(jnp.mean(sites))  # a sum of 1000 energies as they are loses 0.1 eV
        total = len(sites) * mean + jnp.sum(sites - mean)
        return total * jnp.where(near.did_buffer_overflow, jnp.nan, 1).astype(total.dtype)

    def allocate(position: Float[Array, "atoms 3"]) -> Neighbours:
        return _allocate(weights, atoms, position, capacity_multiplier)

    return NeighbourFunctions(allocate, lambda position, neighbor: neighbor.update(position)), energy


def repeated(step: Callable[..., Any], steps: int) -> Callable[[Any, Neighbours], tuple[Any, Neighbours]]:
    """Return a compiled function of state and list that takes jax-md's `step` so often and keeps the list up to date.

    Args:
        step: of ``(state, neighbor=list)``, from one of ``jax_md.simulate``.
        steps: in one call; the list that comes back tells whether any of them overflowed.
    """

    def one(_: Any, now: tuple[Any, Neighbours]) -> tuple[Any, Neighbours]:
        state = step(now[0], neighbor=now[1])
        return state, now[1].update(state.position)

    return compiled(lambda state, near: jax.lax.fori_loop(0, steps, one, (state, near)))


def _allocate(weights: ChgnetWeights, atoms: "Atoms", position: Array, multiplier: float) -> Neighbours:
    """Measure the crystal and search once."""
    cutoffs_a = (weights.atom_cutoff_a, weights.bond_cutoff_a)
    structures, sizes = _measured(atoms, position, cutoffs_a)
    roomy = _grown(sizes, measure(structures, cutoffs_a[0], cutoffs_a[1] + SKIN_A / 2), multiplier)
    shapes: list[Shape] = []
    [stack] = pack(
        structures, roomy, cutoffs_a[0] + SKIN_A, bond_budget=2 * int(roomy.bonds[0]) + 1, depth=1, known=shapes
    )
    crystals = jax.tree.map(lambda leaf: leaf[0], stack.crystals)
    candidates = candidates_of(shapes[0], cutoffs_a[0])
    found, overflow = _start(crystals, stack.capacities, candidates=candidates, cutoffs_a=cutoffs_a)
    return Neighbours(crystals, found, overflow, stack.capacities, cutoffs_a)


def _search(crystals: Crystals, capacities: Capacities, candidates: int, cutoff_a: float) -> Candidates:
    return search(crystals, capacities.pairs, candidates, cutoff_a + SKIN_A)


def _searched(
    crystals: Crystals, capacities: Capacities, candidates: int, cutoffs_a: tuple[float, float]
) -> tuple[Candidates, Bool[Array, ""]]:
    """Return the first list, and whether it or its graph overflowed."""
    found = _search(crystals, capacities, candidates, cutoffs_a[0])
    return found, select(found, crystals, capacities, *cutoffs_a).overflow


_start = compiled(_searched, static=("candidates", "cutoffs_a"))


def _measured(atoms: "Atoms", position: Array, cutoffs_a: tuple[float, float]) -> tuple[Structures, Sizes]:
    """Return the crystal at the positions and its bonds and angles.

    Raises:
        CrystalError: it cannot be answered.
    """
    _check_shape(position, atoms)
    moved = atoms.copy()
    moved.positions = np.asarray(position, float)
    structures, _, reasons = read_structures([moved])
    if reasons:
        raise CrystalError(reasons[0])
    sizes = measure(structures, *cutoffs_a)
    if sizes.tried[0] >= MOST_TRIED or sizes.closest_a[0] < MIN_DISTANCE_A or sizes.lonely[0] >= 0:
        raise CrystalError(
            f"{moved.get_chemical_formula()!r}: closest atoms {sizes.closest_a[0]:.3f} angstrom apart, atom without "
            f"neighbour: {sizes.lonely[0]} (-1: none), distances to try: {sizes.tried[0]}; check positions and cell"
        )
    return structures, sizes


def _check_shape(position: Array, atoms: "Atoms") -> None:
    if position.shape != atoms.positions.shape:
        raise CrystalError(f"{position.shape=} is not that of the crystal, {atoms.positions.shape}; give one row each")


def _grown(sizes: Sizes, swollen: Sizes, by: float) -> Sizes:
    """Return sizes with room for a crystal that moves.

    Args:
        sizes: of the crystal.
        swollen: with a longer reach of short bonds: a shell of neighbours may lie right behind it.
        by: factor of bonds; angles go with the square of the short bonds at an atom.
    """
    bonds, short, long = (np.ceil(by * size).astype(int) for size in (sizes.bonds, swollen.short, sizes.long))
    return replace(sizes, bonds=bonds, short=short, long=long, angles=np.ceil(by**2 * swollen.angles).astype(int))
