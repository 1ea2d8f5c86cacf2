"""Stiffness of solids in space and of grains whose orientation is known roughly."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.sparse.linalg import spsolve

from benchmarks.inverse.plate_data import make_plate, measured
from physics.elasticity.finite_elements import Mesh
from physics.elasticity.polycrystal import random_rotations
from physics.elasticity.symmetry import symmetry_class
from physics.elasticity.tensor import from_voigt, planar_rotation
from pinn.errors import DataRefusedError
from pinn.stiffness.data import EdgeForce, GrainFields, Load
from pinn.stiffness.fit import fit_stiffness
from pinn.stiffness.model import GrainModel, from_bunge

COPPER = from_voigt(
    jnp.asarray(np.kron(np.diag([1.0, 0.0]), np.full((3, 3), 121.4)) + np.diag([47.0] * 3 + [75.4] * 3))
)


def _cube(stiffness, grain_map, strain):
    """Return displacements and the force on the far face across the first axis, uniform strain of the boundary."""
    mesh = Mesh(grain_map.shape)
    matrix = mesh.assemble(stiffness[grain_map.ravel()])
    moved, free = mesh.affine(strain), np.flatnonzero(~mesh.on_boundary)
    moved[free] -= spsolve(matrix[free][:, free].tocsc(), (matrix @ moved)[free])
    held = (matrix @ moved).reshape(*mesh.nodes, 3)
    force = held[-1, ..., 0].sum() - 0.5 * held[-2, ..., 0].sum()
    return np.moveaxis(moved.reshape(*mesh.nodes, 3), -1, 0), float(force)


def test_exact_fields_in_space_give_the_exact_constants_of_the_phase():
    generator = np.random.default_rng(0)
    grain_map = np.arange(64).reshape(4, 4, 4) // 16
    model = GrainModel("cubic", random_rotations(4, generator), np.zeros(4, dtype=int))
    truth = symmetry_class("cubic", 3).parameters(COPPER)
    stiffness = np.asarray(model.grain_stiffness(truth, 3))
    loads = []
    for strain in 1e-3 * np.eye(6)[[0, 4]]:
        displacement, force = _cube(stiffness, grain_map, strain)
        loads.append(Load(displacement, (EdgeForce(0, True, 0, force, 0.01 * abs(force)),)))
    estimate = fit_stiffness(GrainFields(grain_map, tuple(loads), 1.0, noise_sd=1e-7), model)
    values = [found.value for found in estimate.absolute]
    assert [found.symbol for found in estimate.absolute] == ["C11 of phase 0", "C12 of phase 0", "C44 of phase 0"]
    np.testing.assert_allclose(values, [168.4, 121.4, 75.4], rtol=1e-4)


def test_orientations_that_are_off_are_turned_back():
    generator = np.random.default_rng(3)
    grains, off = 5, np.deg2rad(4.0)
    angles = generator.uniform(0, np.pi / 2, grains)
    model = GrainModel("cubic", np.asarray(planar_rotation(jnp.asarray(angles))), np.zeros(grains, dtype=int))
    truth = jnp.asarray(0.5 * np.log([150.0, 40.0, 110.0]))
    plate = make_plate(20, np.asarray(model.grain_stiffness(truth, 2)), generator)
    misread = angles + off * generator.normal(size=grains)
    told = GrainModel("cubic", np.asarray(planar_rotation(jnp.asarray(misread))), model.phases, orientation_sd=off)
    estimate = fit_stiffness(measured(plate, 0.02, 0.01, generator), told)
    found = np.arctan2(estimate.rotations[:, 1, 0], estimate.rotations[:, 0, 0])
    assert np.sqrt(np.mean((found - angles) ** 2)) < 0.5 * np.sqrt(np.mean((misread - angles) ** 2))


def test_bunge_angles_turn_crystal_axes_into_those_of_the_sample():
    # phi1 alone turns about the normal of the sample: [100] of the crystal is at that angle.
    turn = from_bunge(np.array([[np.deg2rad(30.0), 0.0, 0.0]]))[0]
    np.testing.assert_allclose(turn @ [1, 0, 0], [np.cos(np.pi / 6), 0.5, 0.0], atol=1e-12)
    # Phi then takes [001] towards -[010] of the turned sample.
    turn = from_bunge(np.array([[np.pi / 2, np.pi / 2, 0.0]]))[0]
    np.testing.assert_allclose(turn @ [0, 0, 1], [1, 0, 0], atol=1e-12)


def test_plane_crystals_in_space_are_refused():
    model = GrainModel("cubic", np.broadcast_to(np.eye(2), (1, 2, 2)), np.zeros(1, dtype=int))
    displacement = np.moveaxis(Mesh((4, 4, 4)).affine(1e-3 * np.eye(6)[0]).reshape(5, 5, 5, 3), -1, 0)
    fields = GrainFields(np.zeros((4, 4, 4), dtype=int), (Load(displacement),), 1.0)
    with pytest.raises(DataRefusedError, match="three axes"):
        fit_stiffness(fields, model)
