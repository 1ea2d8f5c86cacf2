"""The displacement network: its bubbles, its weak form, what it finds alone and what the polish makes of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from benchmarks.inverse.plate import case, constants
from benchmarks.inverse.plate_data import measured
from physics.elasticity.polycrystal import voronoi_grains
from pinn.stiffness import network, solver
from pinn.stiffness.bubbles import bubbles
from pinn.stiffness.data import Load
from pinn.stiffness.equilibrium import Equilibrium
from pinn.stiffness.fit import fit_stiffness
from pinn.stiffness.network import Plan, network_fit
from pinn.stiffness.weak_form import weak_form
from pinn.training.first_order import Schedule

NOISE, LOAD_ERROR = 0.05, 0.01
# A tenth of the usual training.
SHORT = Plan((24, 24), Schedule(4000, 1e-2, 512), (0.3, 1.0), Schedule(250, 2e-3, 10**9))


def plate(seed=0):
    """Return a plate of four grains and its fields."""
    one = case(seed, 4, 16)
    return one, measured(one.plate, NOISE, LOAD_ERROR, np.random.default_rng(seed))


def posed(one, fields):
    return Equilibrium(fields, one.model, fields.noise_sd, one.mean_gpa)


def ratio_errors(one, numbers):
    stiffness = np.asarray(one.model.grain_stiffness(jnp.asarray(numbers), 2))
    fractions = np.bincount(one.plate.grain_map.ravel()) / one.plate.grain_map.size
    mean = np.trace(np.tensordot(fractions, stiffness, 1)) / 3
    return constants(one.model, numbers) / mean / one.ratios - 1


def test_the_bubble_of_a_slab_is_a_parabola():
    # Slabs of 6, 8 and 6 cells: on the middle one -s'' = 1 has the solution 4 t (1 - t), others reach an edge.
    slabs = np.repeat(np.repeat([0, 1, 2], [6, 8, 6])[:, None], 5, axis=1)
    found = bubbles(slabs)
    share = np.arange(9) / 8.0
    np.testing.assert_allclose(found[1, 6:15, 2], 4 * share * (1 - share), atol=1e-6)
    # Without slope at the edge: half of a parabola twice as wide.
    np.testing.assert_allclose(found[0, :7, 2], 1 - (np.arange(7) / 6.0) ** 2, atol=1e-6)


def test_bubbles_vanish_outside_their_grain_and_on_its_boundary():
    grain_map = voronoi_grains((12, 14), 5, np.random.default_rng(0), periodic=False)
    found = bubbles(grain_map)
    assert found.min() == 0.0 and found.max() == 1.0
    for row, column in np.ndindex(11, 13):
        around = set(grain_map[row : row + 2, column : column + 2].ravel().tolist())
        raised = set(np.flatnonzero(found[:, row + 1, column + 1]).tolist())
        assert raised == (around if len(around) == 1 else set())


def test_weak_form_is_that_of_the_assembled_matrix():
    one, fields = plate()
    equilibrium = posed(one, fields)
    weak, start = weak_form(equilibrium), one.model.start()
    stiffness = jnp.asarray(equilibrium.stiffness(start))
    matrix = equilibrium.assembled(start)
    moved = np.random.default_rng(1).normal(size=(equilibrium.mesh.unknowns, 3))
    fractions = np.bincount(fields.grain_map.ravel()) / fields.grain_map.size
    mean = np.trace(np.tensordot(fractions, np.asarray(stiffness), 1)) / 3
    first, second = (np.asarray(tents) for tents in weak.tents)
    test = np.einsum("an,bm,ij->abinmj", first, second, np.eye(2)).reshape(-1, equilibrium.mesh.unknowns)
    found = weak.imbalance(jnp.asarray(moved), stiffness)
    np.testing.assert_allclose(found, (test @ (matrix @ moved)).ravel() / mean, atol=1e-9)
    assert not np.any(test[:, equilibrium.mesh.on_boundary])
    forces = [equilibrium.observed[load].balance[[-1]] @ (matrix @ moved)[:, load] for load in range(2)]
    np.testing.assert_allclose(weak.face_forces(jnp.asarray(moved), stiffness), np.ravel(forces), rtol=1e-9)


def test_displacements_in_equilibrium_leave_nothing_and_white_noise_one():
    one, fields = plate()
    equilibrium = posed(one, fields)
    weak, matrix = weak_form(equilibrium), equilibrium.assembled(one.model.start())
    free = np.flatnonzero(~equilibrium.mesh.on_boundary)
    moved = np.random.default_rng(2).normal(size=(equilibrium.mesh.unknowns, 50))
    unit = jnp.broadcast_to(jnp.eye(3), (4, 3, 3))
    assert float(jnp.std(weak.imbalance(jnp.asarray(moved), unit))) == pytest.approx(1.0, rel=0.1)
    moved[free] -= spsolve(matrix[free][:, free].tocsc(), (matrix @ moved)[free])
    left = weak.imbalance(jnp.asarray(moved), jnp.asarray(equilibrium.stiffness(one.model.start())))
    assert float(jnp.max(jnp.abs(left))) < 1e-9


def test_the_network_alone_finds_the_ratios_and_the_polish_ends_where_the_solver_does(monkeypatch):
    monkeypatch.setattr(network, "PLAN", SHORT)
    one, fields = plate()
    equilibrium, start, told = posed(one, fields), one.model.start(), []
    found = network.maximise(equilibrium, start, told.append, jax.random.key(0))
    assert np.sqrt(np.mean(ratio_errors(one, found.before) ** 2)) < 0.1
    np.testing.assert_allclose(found.parameters, solver.maximise(equilibrium, start).parameters, atol=1e-4)
    assert len(told) >= 1 + len(SHORT.penalties) and np.all(np.isfinite(told))


def test_a_network_that_was_hardly_trained_fails_its_check_alone(monkeypatch):
    one, fields = plate()
    # Without forces, and without some points.
    loads = tuple(Load(np.where(np.isin(np.arange(17), (3, 9)), np.nan, load.displacement)) for load in fields.loads)
    fields = dataclasses.replace(fields, loads=loads)
    hardly = Plan(SHORT.hidden, Schedule(100, 1e-2, 512), (0.3,), Schedule(5, 2e-3, 10**9))
    monkeypatch.setattr(network, "PLAN", hardly)
    estimate = fit_stiffness(fields, one.model, "pinn")
    assert estimate.failed == ("network",) and not estimate.trusted and estimate.scale is None
    assert "network" not in [check.name for check in fit_stiffness(fields, one.model).checks]


@pytest.mark.slow
def test_the_network_alone_over_five_plates():
    errors = []
    for seed in range(5):
        one = case(seed, 8, 24)
        fields = measured(one.plate, NOISE, LOAD_ERROR, np.random.default_rng(seed))
        alone = network_fit(posed(one, fields), one.model.start(), network.PLAN, lambda _: None, jax.random.key(seed))
        errors.append(ratio_errors(one, alone))
    # Grains that the edge of the window cuts are few cells here: 3 % by the solver.
    assert np.sqrt(np.mean(np.square(errors))) < 0.07
