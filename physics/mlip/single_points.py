"""Single points of many crystals by CHGNet: one program answers batch after batch."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from physics.mlip.chgnet import Answer, answer, answer_shapes, no_answer
from physics.mlip.compiling import compiled
from physics.mlip.neighbours import Capacities, Crystals, bond_vectors, build_graph
from physics.mlip.packing import Shape, pack
from physics.mlip.reading import Structures
from physics.mlip.sizes import Sizes
from physics.mlip.weights import ChgnetWeights

# Bonds of a batch, batches of a stack: a CPU wants batches that fit its caches, a GPU as many rows as it has threads.
STACKS = {"cpu": (3_000, 16), "gpu": (400_000, 1)}


@dataclass(frozen=True)
class Answers:
    """Answers on the host, float32, in the order of the structures and of their atoms; see `Prediction`.

    Attributes:
        energies_ev_per_atom: shape (structures,).
        forces_ev_per_a: shape (atoms, 3).
        stresses_gpa: shape (structures, 3, 3).
        magnetic_moments_mu_b: shape (atoms,).
        embeddings: shape (structures, 64).
    """

    energies_ev_per_atom: np.ndarray
    forces_ev_per_a: np.ndarray
    stresses_gpa: np.ndarray
    magnetic_moments_mu_b: np.ndarray
    embeddings: np.ndarray


def start_predicting(
    weights: ChgnetWeights, structures: Structures, sizes: Sizes, known: list[Shape], bond_budget: int | None = None
) -> Callable[[], Answers]:
    """Set all devices of this process to work on crystals, in batches; return what waits for the answers.

    Args:
        weights: parameters, float32.
        structures: checked.
        sizes: of them.
        known: shapes that programs exist for; new ones are added.
        bond_budget: undirected bonds of a batch; None for what suits the device.
    """
    budget, depth = STACKS.get(jax.default_backend(), STACKS["gpu"])
    devices = jax.local_devices()
    copies = [jax.device_put(weights, device) for device in devices] if len(devices) > 1 else [weights]
    found = []
    # all stacks are under way before the first answer is fetched: a device does not wait for the host
    stacks = pack(structures, sizes, weights.atom_cutoff_a, bond_budget or budget, depth, known)
    for turn, stack in enumerate(stacks):
        copy = copies[turn % len(copies)]
        crystals = stack.crystals if len(copies) == 1 else jax.device_put(stack.crystals, devices[turn % len(copies)])
        found.append((stack.members, predict_stack(copy, crystals, jnp.int32(len(stack.members)), stack.capacities)))
    return lambda: _in_order(structures, found)


def _predict_stack(weights: ChgnetWeights, stack: Crystals, count: Int[Array, ""], capacities: Capacities) -> Answer:
    """Build the graphs of the first `count` batches of a stack and answer them one after the other.

    One program for all of them: it asks for its memory once, and on a CPU the first touch of fresh memory takes as long
    as all else.
    """

    def one(row: Int[Array, ""] | int) -> Answer:
        crystals = jax.tree.map(lambda array: array[row], stack)
        graph = build_graph(crystals, capacities, weights.atom_cutoff_a, weights.bond_cutoff_a)
        return answer(weights, crystals, graph, bond_vectors(crystals, graph))

    def put(row: Int[Array, ""], answers: Answer) -> Answer:
        return jax.tree.map(lambda whole, part: whole.at[row].set(part), answers, one(row))

    depth, atoms = stack.owner.shape
    if depth == 1:  # a loop on a GPU would keep the host waiting
        return jax.tree.map(lambda part: part[None], one(0))
    return jax.lax.fori_loop(
        0, count, put, no_answer(stack.cells.shape[1], atoms, weights.atom_embedding.dtype, (depth,))
    )


predict_stack = compiled(_predict_stack)


def _in_order(structures: Structures, answers: list[tuple[tuple[np.ndarray, ...], Answer]]) -> Answers:
    """Fetch all answers and put them into the order in which the structures came."""
    shapes = answer_shapes(len(structures), len(structures.numbers))
    whole = Answers(*(np.empty(shape, np.float32) for shape in shapes))
    for batches, found in jax.device_get(answers):
        if found.overflow.any():  # measured with a margin, so this is a mistake of ours
            raise RuntimeError(f"the graph of one of the structures {batches} outgrew its capacities; report this")
        for row, members in enumerate(batches):
            rows = structures.rows(members)
            whole.energies_ev_per_atom[members] = found.energies_ev_per_atom[row, : len(members)]
            whole.stresses_gpa[members] = found.stresses_gpa[row, : len(members)]
            whole.embeddings[members] = found.embeddings[row, : len(members)]
            whole.forces_ev_per_a[rows] = found.forces_ev_per_a[row, : len(rows)]
            whole.magnetic_moments_mu_b[rows] = found.magnetic_moments_mu_b[row, : len(rows)]
    return whole
