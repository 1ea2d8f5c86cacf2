"""Structures read, measured, packed and turned into graphs: against ASE's lists, within few shapes."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("ase")

from ase import Atoms
from ase.build import bulk
from ase.neighborlist import neighbor_list
from jaxtyping import install_import_hook

with install_import_hook(
    [f"physics.mlip.{name}" for name in ("neighbours", "reading", "sizes", "packing")], "tests.checking.check"
):
    from physics.mlip.neighbours import UNREACHABLE, Capacities, bond_vectors, build_graph, outdated, search, select
    from physics.mlip.packing import Shape, pack, padded_box, round_up, settled
    from physics.mlip.reading import compact, read_structures
    from physics.mlip.sizes import measure


BUDGET = 8_000


def measured(atoms):
    structures, places, refused = read_structures(atoms)
    assert not refused and len(places) == len(atoms)
    return structures, measure(structures, 6.0, 3.0)


def packed(atoms, budget=10**6, depth=1, cutoff=6.0):
    """Return the only stack of some structures."""
    (stack,) = pack(*measured(atoms), cutoff, budget, depth, [])
    return stack


def first_batch(stack):
    return jax.tree.map(lambda array: array[0], stack.crystals)


def check_against_ase(chosen, structures, stack, batch, graph):
    vectors = np.array(bond_vectors(batch, graph))
    first_row = np.cumsum([0, *(len(chosen[place]) for place in stack.members[0])])
    for row, (place, start) in enumerate(zip(stack.members[0], first_row, strict=False)):
        one = structures.take(np.array([place]))
        fractional = np.array(batch.fractional)[start : start + len(chosen[place])]
        wrapped = Atoms(one.numbers, scaled_positions=fractional, cell=np.array(batch.cells)[row], pbc=True)
        wrapped.positions = fractional @ np.array(batch.cells, float)[row]  # unwrapped
        mine = np.array(graph.real) & (np.array(batch.owner)[np.array(graph.centre)] == row)
        i, j = np.array(graph.centre)[mine] - start, np.array(graph.neighbour)[mine] - start
        shift = np.array(graph.image)[mine]
        directed = {*zip(i, j, *shift.T, strict=True)} | {*zip(j, i, *-shift.T, strict=True)}
        assert directed == {*zip(*neighbor_list("ij", wrapped, 6.0), *neighbor_list("S", wrapped, 6.0).T, strict=True)}
        assert len(directed) == 2 * mine.sum()
        expected = (wrapped.positions[j] - wrapped.positions[i]) + shift @ wrapped.cell.array
        np.testing.assert_allclose(vectors[mine], expected, atol=1e-5)


def test_graph_is_that_of_ase(cells):
    chosen = cells[:8]
    structures, sizes = measured(chosen)
    stack = packed(chosen)
    batch = first_batch(stack)
    graph = jax.jit(build_graph)(batch, stack.capacities)
    assert not graph.overflow
    assert graph.real.sum() == sizes.bonds.sum() and graph.real_angle.sum() == sizes.angles.sum()
    assert graph.real[: graph.short].sum() == sizes.short.sum()
    check_against_ase(chosen, structures, stack, batch, graph)


def test_a_list_with_a_skin_gives_the_exact_graph_until_it_is_outdated(cells):
    """Atoms and cells that have moved by less than the skin allows: the same graph as a new search."""
    chosen = cells[:8]
    structures, _ = measured(chosen)
    stack = packed(chosen, cutoff=6.5)
    batch, rng = first_batch(stack), np.random.default_rng(0)
    near = jax.jit(search, static_argnums=(1, 2, 3))(batch, stack.capacities.pairs, 2 * stack.capacities.bonds, 6.5)
    is_outdated = jax.jit(outdated, static_argnums=(2, 3))
    seen = set()
    for size in (0.0, 0.02, 0.05, 0.1, 0.2):
        strain = np.eye(3) + size * 0.1 * rng.normal(size=(3, 3))
        cells_now = np.array(batch.cells, float) @ strain
        shift = rng.uniform(-size, size, batch.fractional.shape) / 3.5
        moved = eqx.tree_at(
            lambda batch: (batch.fractional, batch.cells), batch,
            (batch.fractional + jnp.asarray(shift, jnp.float32), jnp.asarray(cells_now, jnp.float32)),
        )  # fmt: skip
        seen.add(bool(is_outdated(near, moved, 6.0, 0.5)))
        if not is_outdated(near, moved, 6.0, 0.5):
            room = Capacities(
                stack.capacities.pairs, 2 * stack.capacities.bonds, 2 * stack.capacities.short,
                4 * stack.capacities.angles,
            )  # fmt: skip
            graph = jax.jit(select, static_argnums=(3, 4))(near, moved, room, 6.0, 3.0)
            assert not graph.overflow
            check_against_ase(chosen, structures, stack, moved, graph)
    assert seen == {False, True}


def test_images_that_do_not_reach_any_more_are_reported(cells):
    stack = packed([bulk("NaCl", "rocksalt", 5.6)])
    batch = first_batch(stack)
    shrunk = eqx.tree_at(lambda batch: batch.cells, batch, batch.cells * 0.5)
    found = jax.jit(search, static_argnums=(1, 2, 3))
    assert not found(batch, 1000, 1000, 6.0).overflow
    assert found(shrunk, 1000, 100_000, 6.0).overflow


def test_angles_are_all_ordered_pairs_of_short_edges(cells):
    chosen = [cells[index] for index in (0, 1, 4)]
    _, sizes = measured(chosen)
    stack = packed(chosen)
    batch = first_batch(stack)
    graph = jax.jit(build_graph)(batch, stack.capacities)
    short, real = graph.short, np.array(graph.real)
    start = np.concatenate([graph.centre[:short], graph.neighbour[:short]])
    edges = [edge for edge in range(2 * short) if real[edge % short]]
    expected = {(a, b) for a in edges for b in edges if a != b and start[a] == start[b]}
    real_angle = np.array(graph.real_angle)
    found = [*zip(np.array(graph.first)[real_angle], np.array(graph.second)[real_angle], strict=True)]
    assert len(found) == len(set(found)) == sizes.angles.sum()
    assert set(found) == expected
    assert (np.diff(start[np.array(graph.first)[real_angle]]) >= 0).all()
    lengths = np.linalg.norm(np.array(bond_vectors(batch, graph)), axis=1)
    assert (lengths[:short][real[:short]] < 3.0).all() and (lengths[short:] >= 3.0).all()


def test_padding_is_spread_and_overflow_is_reported(cells):
    _, sizes = measured([cells[3]])
    stack = packed([cells[3]], BUDGET)
    batch, full = first_batch(stack), stack.capacities
    graph = jax.jit(build_graph)(batch, full)
    padding = np.array(graph.centre)[~np.array(graph.real)]
    assert padding.min() >= len(cells[3]) and np.bincount(padding).max() <= 2 + len(padding) / 60
    padding = np.array(graph.first)[~np.array(graph.real_angle)]
    assert np.bincount(padding, minlength=1).max() <= 1 + len(padding) / 60
    bonds, short, angles = int(sizes.bonds[0]), int(sizes.short[0]), int(sizes.angles[0])
    for small in (
        Capacities(8, full.bonds, full.short, full.angles),
        Capacities(full.pairs, bonds - 1, full.short, full.angles),
        Capacities(full.pairs, full.bonds, short - 1, full.angles),
        Capacities(full.pairs, full.bonds, full.short, angles - 1),
    ):
        assert jax.jit(build_graph)(batch, small).overflow


def test_large_structures_get_batches_of_their_own_and_every_place_is_kept(cells):
    structures, sizes = measured(cells)
    stacks = list(pack(structures, sizes, 6.0, 1_000, 4, []))
    members = [place for stack in stacks for batch in stack.members for place in batch]
    assert sorted(members) == list(range(len(cells)))
    for stack in stacks:
        for batch in stack.members:
            assert sizes.bonds[batch].sum() <= stack.capacities.bonds
            assert len(batch) == 1 or all(sizes.bonds[batch] <= 500)


def test_capacities_are_few():
    assert len({round_up(size, 1.25) for size in range(1, 20_000, 7)}) < 50
    assert all(size <= round_up(size, 1.1) < 1.1 * size + 9 for size in range(1, 20_000, 7))


def test_compact_vectors_span_the_same_lattice():
    rng = np.random.default_rng(0)
    cells = 4 * rng.normal(size=(300, 3, 3))
    cells = cells[np.abs(np.linalg.det(cells)) > 3]
    cells[:50] = np.array([[1, 0, 0], [7, 1, 0], [-3, 5, 1]]) @ cells[:50]
    found = compact(cells)
    change = found @ np.linalg.inv(cells)
    np.testing.assert_allclose(change, np.rint(change), atol=1e-7)
    np.testing.assert_allclose(np.linalg.det(change), 1.0, atol=1e-7)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        product = np.abs((found[:, one] * found[:, other]).sum(1))
        shorter = (found[:, [one, other]] ** 2).sum(2).min(1)
        assert (2 * product <= 1.002 * shorter).all()
    cubic = np.array([np.eye(3) * 4.0])
    assert (compact(cubic) == cubic).all()


def shape(bonds, angles, reached=(1, 1, 1)):
    return Shape(200, 30, padded_box(np.array(reached)), Capacities(1000, bonds, bonds // 4, angles))


def test_a_known_shape_is_used_again_unless_it_wastes_too_much():
    known = []
    first = settled(shape(4000, 8000, (2, 2, 2)), known)
    near = settled(shape(3600, 7000, (2, 1, 2)), known)
    assert near.capacities is first.capacities and len(near.images) == len(first.images)
    real = near.images[near.images[:, 0] < UNREACHABLE]
    assert len(real) == 5 * 3 * 5  # its own images, padded to the length of the known one's
    assert settled(shape(4001, 8000, (2, 2, 2)), known).capacities.bonds == 4001
    assert settled(shape(2000, 4000, (2, 2, 2)), known).capacities.bonds == 2000
    assert len(known) == 3
    assert settled(shape(2000, 4000, (0, 0, 0)), known).images.shape != first.images.shape
