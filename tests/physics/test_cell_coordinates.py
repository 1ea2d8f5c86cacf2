"""The coordinates of a relaxation: against scipy's exponential, the slope of an energy, and ASE's filter."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("ase")

from ase.build import bulk
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from jaxtyping import install_import_hook
from scipy.linalg import expm, logm

with install_import_hook(["physics.mlip.fire", "physics.mlip.cell_coordinates"], "tests.checking.check"):
    from physics.mlip.cell_coordinates import exponential, forces_on_coordinates, moved
    from physics.mlip.fire import Velocities


def test_exponential_is_scipys():
    matrices = np.random.default_rng(0).normal(size=(20, 3, 3)) * 0.4
    np.testing.assert_allclose(exponential(jnp.asarray(matrices)), expm(matrices), rtol=1e-9, atol=1e-9)


@pytest.fixture
def crystal():
    """Return a strained and rattled crystal, the cell it started from, and ASE's filter around it."""
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=0)
    first = atoms.cell.array.copy()
    atoms.calc = EMT()
    movable = FrechetCellFilter(atoms)
    strain = np.random.default_rng(1).normal(size=(3, 3)) * 0.05
    atoms.set_cell(first @ expm(strain + strain.T).T, scale_atoms=True)
    return atoms, first, movable


def test_forces_are_those_of_ases_filter(crystal):
    atoms, first, movable = crystal
    deformation = np.linalg.solve(first, atoms.cell.array).T
    virial = -atoms.get_volume() * atoms.get_stress(voigt=False)
    owner, counts = jnp.zeros(4, jnp.int32), jnp.array([4.0])
    strain = jnp.asarray(logm(deformation).real)[None]
    found = forces_on_coordinates(jnp.asarray(atoms.get_forces()), jnp.asarray(virial)[None], strain, owner, counts)
    expected = movable.get_forces()
    np.testing.assert_allclose(found.atoms, expected[:4], atol=1e-9)
    np.testing.assert_allclose(found.cells[0], expected[4:], atol=1e-9)


def test_a_step_leads_where_ases_filter_goes(crystal):
    atoms, first, movable = crystal
    rng = np.random.default_rng(2)
    step = rng.normal(size=(7, 3)) * 0.05
    deformation = np.linalg.solve(first, atoms.cell.array).T
    taken = Velocities(jnp.asarray(step[:4]), jnp.asarray(step[None, 4:]))
    owner, counts = jnp.zeros(4, jnp.int32), jnp.array([4.0])
    fractional, cells, _ = jax.jit(moved)(
        jnp.asarray(atoms.get_scaled_positions(wrap=False)), jnp.asarray(first)[None],
        jnp.asarray(logm(deformation).real)[None], taken, owner, counts,
    )  # fmt: skip
    movable.set_positions(movable.get_positions() + step)
    np.testing.assert_allclose(cells[0], atoms.cell.array, atol=1e-9)
    np.testing.assert_allclose(fractional @ cells[0], atoms.positions, atol=1e-9)
