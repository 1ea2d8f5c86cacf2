"""Structures that are relaxed together on the device: their state, and some steps of all of them in one program."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from physics.mlip import fire
from physics.mlip.cell_coordinates import forces_on_coordinates, moved
from physics.mlip.chgnet import GPA_PER_EV_A3, Answer, answer, no_answer
from physics.mlip.compiling import compiled
from physics.mlip.neighbours import (
    Candidates,
    Capacities,
    Crystals,
    Graph,
    bond_vectors,
    cell_volumes,
    outdated,
    search,
    select,
)
from physics.mlip.reading import MIN_DISTANCE_A
from physics.mlip.weights import ChgnetWeights

RUNNING, CONVERGED, NOT_CONVERGED, EXPLODED, LOST_ATOMS = range(5)
SKIN_A = 0.5
MAX_VOLUME_RATIO = 4.0  # what shrinks or swells by more has left the domain of any potential


class PerAtom(eqx.Module):
    """State of each atom; `owner` and `images` of `Crystals` come from outside.

    Attributes:
        numbers: atomic number.
        fractional: position in units of the cell vectors.
        velocity: angstrom per unit of FIRE's time.
    """

    numbers: Int[Any, " atoms"]
    fractional: Float[Any, "atoms 3"]
    velocity: Float[Any, "atoms 3"]


class PerStructure(eqx.Module):
    """State of each structure.

    Attributes:
        cells: vectors in rows, angstrom.
        first_cells: at the start.
        strain: logarithm of the deformation since.
        velocities: of ``atoms x strain``.
        pace: of FIRE.
        steps: forces evaluated.
        outcome: one of the constants above.
    """

    cells: Float[Any, "structures 3 3"]
    first_cells: Float[Any, "structures 3 3"]
    strain: Float[Any, "structures 3 3"]
    velocities: Float[Any, "structures 3 3"]
    pace: fire.Pace
    steps: Int[Any, " structures"]
    outcome: Int[Any, " structures"]


class Fleet(eqx.Module):
    """All of a batch.

    Attributes:
        atoms: one structure after the other, then padding.
        structures: then padding that does not run.
        owner: structure of each atom; padding has the number of structures.
        images: see `Crystals`.
    """

    atoms: PerAtom
    structures: PerStructure
    owner: Int[Any, " atoms"]
    images: Int[Any, "images 3"]

    @property
    def crystals(self) -> Crystals:
        """Return the structures as they are now."""
        return Crystals(self.atoms.numbers, self.atoms.fractional, self.owner, self.structures.cells, self.images)


class Limits(eqx.Module):
    """When a relaxation ends, see `RelaxationSettings`.

    Attributes:
        fmax_ev_per_a: largest force.
        max_steps: evaluations of forces.
        moves_cell: whether cells are relaxed as well.
    """

    fmax_ev_per_a: Float[Array, ""]
    max_steps: Int[Array, ""]
    moves_cell: Bool[Array, ""]


class Course(eqx.Module):
    """Where a voyage stands; as `Voyage`."""

    fleet: Fleet
    answer: Answer
    overflow: Bool[Array, ""]


class Voyage(eqx.Module):
    """What some steps led to.

    Attributes:
        fleet: afterwards; structures that have ended are where their last answer was given.
        answer: last answer, right for those that have ended.
        bonds: of each structure, undirected.
        short: of each structure, undirected and short.
        angles: of each structure.
        overflow: whether a capacity was too small; the fleet is as it was before the step that did not fit.
    """

    fleet: Fleet
    answer: Answer
    bonds: Int[Array, " structures"]
    short: Int[Array, " structures"]
    angles: Int[Array, " structures"]
    overflow: Bool[Array, ""]


def _advance(
    weights: ChgnetWeights, fleet: Fleet, limits: Limits, turns: Int[Array, ""], candidates: int, capacities: Capacities
) -> Voyage:
    """Take up to `turns` steps with all structures that run; the graph is exact at every step."""
    cutoff_a = weights.atom_cutoff_a

    def look(fleet: Fleet) -> Candidates:
        return search(fleet.crystals, capacities.pairs, candidates, cutoff_a + SKIN_A)

    def turn(carry: tuple[Int[Array, ""], Candidates, Course]) -> tuple[Int[Array, ""], Candidates, Course]:
        count, near, before = carry
        fleet = before.fleet
        near = jax.lax.cond(outdated(near, fleet.crystals, cutoff_a, SKIN_A), look, lambda _: near, fleet)
        graph = select(near, fleet.crystals, capacities, cutoff_a, weights.bond_cutoff_a)
        vectors = bond_vectors(fleet.crystals, graph)
        found = answer(weights, fleet.crystals, graph, vectors)
        moved = _move(_judge(fleet, found, graph, vectors, limits), found, limits)
        fleet = jax.tree.map(lambda new, old: jnp.where(graph.overflow, old, new), moved, fleet)
        return count + 1, near, Course(fleet, found, graph.overflow)

    def goes_on(carry: tuple[Int[Array, ""], Candidates, Course]) -> Bool[Array, ""]:
        count, _, now = carry
        return (count < turns) & ~now.overflow & jnp.any(now.fleet.structures.outcome == RUNNING)

    empty = no_answer(fleet.structures.cells.shape[0], fleet.owner.shape[0], fleet.atoms.fractional.dtype)
    start = Course(fleet, empty, jnp.zeros((), bool))
    _, near, end = jax.lax.while_loop(goes_on, turn, (jnp.int32(0), look(fleet), start))
    graph = select(near, end.fleet.crystals, capacities, cutoff_a, weights.bond_cutoff_a)
    return Voyage(end.fleet, end.answer, *_sizes(end.fleet, graph), overflow=end.overflow)


advance = compiled(_advance, static=("candidates",))


def _judge(fleet: Fleet, found: Answer, graph: Graph, vectors: Float[Array, "bonds 3"], limits: Limits) -> Fleet:
    """Count the step and tell which structures have ended with it."""
    now, count = fleet.structures, fleet.structures.cells.shape[0]
    virials = _virials(fleet, found, limits) / atom_counts(fleet.owner, count)[:, None, None]
    squared = jnp.sum(found.forces_ev_per_a**2, axis=1)
    largest = jax.ops.segment_max(squared, fleet.owner, num_segments=count + 1)[:count]
    largest = jnp.maximum(largest, jnp.max(jnp.sum(virials**2, axis=2), axis=1))
    is_close = graph.real & (jnp.sum(vectors**2, axis=1) < MIN_DISTANCE_A**2)
    degrees = _at_atoms(jnp.stack([graph.real, is_close], axis=1).astype(jnp.int32), graph, fleet.owner.shape[0])
    marks = jnp.stack([degrees[:, 0] == 0, degrees[:, 1] > 0], axis=1).astype(jnp.int32)
    lonely, close = (jax.ops.segment_sum(marks, fleet.owner, num_segments=count + 1)[:count] > 0).T
    ratio = cell_volumes(now.cells) / cell_volumes(now.first_cells)
    is_finite = jnp.isfinite(found.energies_ev_per_atom) & jnp.isfinite(largest)
    exploded = ~is_finite | close | (ratio > MAX_VOLUME_RATIO) | (ratio < 1 / MAX_VOLUME_RATIO)
    steps = now.steps + 1
    verdict = jnp.where(steps >= limits.max_steps, NOT_CONVERGED, RUNNING)
    verdict = jnp.where(largest <= limits.fmax_ev_per_a**2, CONVERGED, verdict)
    verdict = jnp.where(exploded, EXPLODED, verdict)
    verdict = jnp.where(lonely, LOST_ATOMS, verdict)
    runs = now.outcome == RUNNING
    judged = (jnp.where(runs, verdict, now.outcome), jnp.where(runs, steps, now.steps))
    return eqx.tree_at(lambda fleet: (fleet.structures.outcome, fleet.structures.steps), fleet, judged)


def _move(fleet: Fleet, found: Answer, limits: Limits) -> Fleet:
    """Let those that still run take a step."""
    now, owner = fleet.structures, fleet.owner
    counts = atom_counts(owner, now.cells.shape[0])
    velocities, pace, taken = fire.step(
        fire.Velocities(fleet.atoms.velocity, now.velocities),
        now.pace,
        forces_on_coordinates(found.forces_ev_per_a, _virials(fleet, found, limits), now.strain, owner, counts),
        owner,
        now.outcome == RUNNING,
    )
    fractional, cells, strain = moved(fleet.atoms.fractional, now.first_cells, now.strain, taken, owner, counts)
    cells = jnp.where(limits.moves_cell, cells, now.cells)
    return eqx.tree_at(
        lambda fleet: (
            fleet.atoms.fractional, fleet.atoms.velocity, fleet.structures.cells, fleet.structures.strain,
            fleet.structures.velocities, fleet.structures.pace,
        ),
        fleet, (fractional, velocities.atoms, cells, strain, velocities.cells, pace),
    )  # fmt: skip


def atom_counts(owner: Int[Array, " atoms"], structures: int) -> Float[Array, " structures"]:
    """Return the atoms of each structure; 1 for padding."""
    counts = jax.ops.segment_sum(jnp.ones(owner.shape[0], jnp.float32), owner, num_segments=structures + 1)
    return jnp.maximum(counts[:structures], 1)


def _virials(fleet: Fleet, found: Answer, limits: Limits) -> Float[Array, "structures 3 3"]:
    """Return ``-volume x stress``, eV, symmetric; zero where cells do not move."""
    stresses = (found.stresses_gpa + found.stresses_gpa.transpose(0, 2, 1)) / 2
    scale = cell_volumes(fleet.structures.cells) / GPA_PER_EV_A3
    return jnp.where(limits.moves_cell, -stresses * scale[:, None, None], 0)


def _sizes(fleet: Fleet, graph: Graph) -> tuple[Int[Array, " structures"], ...]:
    """Count bonds, short bonds and angles of each structure, atom by atom: sums into few rows would wait."""
    is_short = graph.real & (jnp.arange(graph.real.shape[0]) < graph.short)
    ends = jnp.stack([graph.real, is_short], axis=1).astype(jnp.int32)
    degrees = _at_atoms(ends, graph, fleet.owner.shape[0])
    columns = jnp.column_stack([degrees, degrees[:, 1] * (degrees[:, 1] - 1)])
    count = fleet.structures.cells.shape[0]
    bonds, short, angles = jax.ops.segment_sum(columns, fleet.owner, num_segments=count + 1)[:count].T
    return bonds // 2, short // 2, angles


def _at_atoms(of_bonds: Int[Array, "bonds columns"], graph: Graph, atoms: int) -> Int[Array, "atoms columns"]:
    """Add up at both ends of each bond."""
    zero = jnp.zeros((atoms, of_bonds.shape[1]), jnp.int32)
    return zero.at[graph.centre].add(of_bonds).at[graph.neighbour].add(of_bonds)
