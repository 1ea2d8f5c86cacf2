"""Effective stiffness against solutions in closed form, finite differences and bounds."""

import os
from itertools import pairwise
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.elasticity.errors import ElasticityError
from physics.elasticity.finite_elements import Mesh
from physics.elasticity.hashin_shtrikman import hashin_shtrikman
from physics.elasticity.lippmann_schwinger import homogenise
from physics.elasticity.polycrystal import random_rotations, voronoi_grains
from physics.elasticity.symmetry import symmetry_class
from physics.elasticity.tensor import excess, from_voigt, planar_rotation, plane_strain, rotated, voigt_reuss
from physics.elasticity.windows import displacement_controlled, traction_controlled


def _isotropic(bulk, shear):
    """Return the stiffness field of an isotropic solid; in the plane `bulk` is lambda + mu."""
    dimension = np.ndim(bulk)
    components = 3 if dimension == 2 else 6
    field = np.zeros((components, components, *np.shape(bulk)))
    lame = bulk - (1.0 if dimension == 2 else 2.0 / 3.0) * shear
    field[:dimension, :dimension] = lame
    field[range(components), range(components)] += 2.0 * shear
    return jnp.asarray(field)


def _field(stiffness, grains):
    return jnp.moveaxis(jnp.asarray(stiffness)[grains], (-2, -1), (0, 1))


@pytest.mark.parametrize("shape", [(32, 5), (33, 4), (12, 3, 4), (9, 5, 3)])
def test_a_laminate_has_harmonic_means_across_its_layers(shape):
    layers = np.where(np.arange(shape[0]) % 5 < 2, 1.0, 17.0).reshape((-1,) + (1,) * (len(shape) - 1))
    shear = layers * np.ones(shape)
    bulk = 1.7 * shear
    effective = homogenise(_isotropic(bulk, shear)).effective
    axial = bulk + (1.0 if len(shape) == 2 else 4.0 / 3.0) * shear
    assert effective[0, 0] == pytest.approx(1 / np.mean(1 / axial), rel=1e-8)
    assert effective[-1, -1] == pytest.approx(2 / np.mean(1 / shear), rel=1e-8)


@pytest.mark.parametrize("shape", [(32, 32), (31, 31), (10, 10, 10), (9, 9, 9)])
def test_equal_shear_moduli_give_hills_bulk_modulus_whatever_the_arrangement(shape):
    generator = np.random.default_rng(0)
    bulk = np.where(generator.uniform(size=shape) < 0.4, 1.0, 30.0)
    effective = np.asarray(homogenise(_isotropic(bulk, np.full(shape, 0.8))).effective)
    dimension = len(shape)
    against = 0.8 * 2.0 * (dimension - 1) / dimension
    found = np.mean(effective[:dimension, :dimension])
    assert found == pytest.approx(1 / np.mean(1 / (bulk + against)) - against, rel=1e-8)


def test_the_strain_within_a_small_inclusion_is_that_of_eshelby():
    # Plane strain, shear: e_in / E = 1 / (1 + b (mu_i / mu - 1)), b = (k + 2 mu) / (2 (k + mu))
    # (Eshelby 1957, 10.1098/rspa.1957.0133, for a circular cylinder).
    pixels, radius, bulk, shear, stiffer = 127, 10.0, 2.0, 1.0, 5.0
    places = np.stack(np.meshgrid(*[np.arange(pixels) - pixels // 2] * 2, indexing="ij"))
    distance = np.hypot(*places)
    inside = distance <= radius
    found = homogenise(_isotropic(np.where(inside, stiffer * bulk, bulk), np.where(inside, stiffer * shear, shear)))
    share = (bulk + 2 * shear) / (2 * (bulk + shear))
    strain = np.asarray(found.strains[2, 2])[distance < 0.7 * radius]
    # The cell is finite (2 % of it is inclusion) and the circle has corners.
    assert np.mean(strain) == pytest.approx(1 / (1 + share * (stiffer - 1)), rel=0.02)
    assert np.std(strain) < 0.05 * np.mean(strain)


def test_the_derivative_in_the_phases_is_that_of_finite_differences():
    generator = np.random.default_rng(4)
    grains = voronoi_grains((11, 11), 3, generator)
    crystal = symmetry_class("triclinic", 2)
    numbers = jnp.asarray(generator.normal(size=(3, crystal.size)) * 0.5)
    weight = jnp.asarray(generator.normal(size=(3, 3)))

    @jax.jit
    def energy(parameters):
        return jnp.sum(weight * homogenise(_field(jax.vmap(crystal.stiffness)(parameters), grains)).effective)

    way = jnp.asarray(generator.normal(size=numbers.shape))
    step = 1e-5
    difference = (energy(numbers + step * way) - energy(numbers - step * way)) / (2 * step)
    assert jnp.sum(jax.grad(energy)(numbers) * way) == pytest.approx(float(difference), rel=1e-7)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31), contrast=st.floats(1.0, 50.0), even=st.booleans())
def test_every_microstructure_is_between_reuss_and_voigt_and_keeps_hill_mandel(seed, contrast, even):
    generator = np.random.default_rng(seed)
    grains = voronoi_grains((12 if even else 11,) * 2, 6, generator)
    crystal = symmetry_class("triclinic", 2)
    stiffness = jax.vmap(crystal.stiffness)(jnp.asarray(generator.normal(size=(6, crystal.size)) * 0.3))
    stiffness = stiffness * jnp.asarray(contrast ** generator.uniform(size=6))[:, None, None]
    found = homogenise(_field(stiffness, grains))
    assert found.converged
    assert np.all(np.linalg.eigvalsh(found.effective) > 0)
    bounds = voigt_reuss(stiffness, jnp.bincount(grains.ravel(), length=6) / grains.size)
    assert excess(bounds.reuss, found.effective) > -1e-9
    assert excess(found.effective, bounds.voigt) > -1e-9
    stress = jnp.einsum("ijxy,jaxy->iaxy", _field(stiffness, grains), found.strains)
    np.testing.assert_allclose(jnp.mean(stress, axis=(2, 3)), found.effective, rtol=1e-7, atol=1e-7 * contrast)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), dimension=st.sampled_from([2, 3]))
def test_uniform_traction_is_softer_than_uniform_displacement_and_both_are_within_bounds(seed, dimension):
    generator = np.random.default_rng(seed)
    mesh = Mesh((9, 7) if dimension == 2 else (4, 5, 3))
    grains = voronoi_grains(mesh.cells, 5, generator, periodic=False)
    crystal = symmetry_class("triclinic", dimension)
    stiffness = jax.vmap(crystal.stiffness)(jnp.asarray(generator.normal(size=(5, crystal.size)) * 0.4))
    bounds = voigt_reuss(stiffness, jnp.bincount(grains.ravel(), length=5) / grains.size)
    cells = np.asarray(stiffness)[grains.ravel()]
    softer, stiffer = traction_controlled(mesh, cells), displacement_controlled(mesh, cells)
    ordered = [bounds.reuss, jnp.asarray(softer), jnp.asarray(stiffer), bounds.voigt]
    for lower, upper in pairwise(ordered):
        assert excess(lower, upper) > -1e-9


def test_a_window_of_a_periodic_cell_encloses_its_effective_stiffness():
    generator = np.random.default_rng(9)
    grains = voronoi_grains((33, 33), 12, generator)
    nickel = from_voigt(
        jnp.asarray(
            np.block(
                [[np.full((3, 3), 147.0) + 100.0 * np.eye(3), np.zeros((3, 3))], [np.zeros((3, 3)), 125.0 * np.eye(3)]]
            )
        )
    )
    stiffness = plane_strain(rotated(nickel, jnp.asarray(random_rotations(12, generator))))
    effective = homogenise(_field(stiffness, grains)).effective
    cells = np.asarray(stiffness)[grains.ravel()]
    mesh = Mesh(grains.shape)
    assert excess(jnp.asarray(traction_controlled(mesh, cells)), effective) > 0
    assert excess(effective, jnp.asarray(displacement_controlled(mesh, cells))) > 0


def test_coated_spheres_reach_hashin_and_shtrikman_and_equal_phases_close_the_bounds():
    bounds = hashin_shtrikman(jnp.array([40.0, 90.0]), jnp.array([20.0, 50.0]), jnp.array([0.3, 0.7]), 3)
    # Coated spheres, stiff around soft: K = K2 + f1 / (1 / (K1 - K2) + 3 f2 / (3 K2 + 4 G2)).
    assert bounds.bulk_high == pytest.approx(90 + 0.3 / (1 / (40 - 90) + 3 * 0.7 / (3 * 90 + 4 * 50)))
    assert bounds.bulk_low < bounds.bulk_high and bounds.shear_low < bounds.shear_high
    same = hashin_shtrikman(jnp.array([2.0, 2.0]), jnp.array([1.0, 1.0]), jnp.array([0.5, 0.5]), 2)
    np.testing.assert_allclose(same, [2.0, 2.0, 1.0, 1.0])


def test_a_checkerboard_keeps_the_exact_product_rule():
    # A cell that looks the same with its phases exchanged, incompressible: G = sqrt(G1 G2) (Dykhne 1970). The four
    # corners converge slowly, so the cell is only asked to come nearer as it is refined.
    errors = []
    for pixels in (16, 32, 64):
        side = (np.arange(pixels) < pixels // 2).astype(float)
        soft = (side[:, None] + side[None, :]) % 2
        shear = np.where(soft > 0, 1.0, 2.0)
        effective = homogenise(_isotropic(np.full(shear.shape, 1e3), shear)).effective
        turned = rotated(effective, planar_rotation(jnp.asarray(np.pi / 4)))
        errors.append(abs(float(jnp.sqrt(effective[2, 2] * turned[2, 2])) / 2 / np.sqrt(2.0) - 1))
    assert errors[-1] < 2e-3


def test_a_grid_without_the_right_axes_is_refused():
    with pytest.raises(ElasticityError, match="in the plane or"):
        homogenise(jnp.ones((6, 6, 4, 4)))


def test_a_search_that_is_cut_short_says_so():
    shear = np.where(np.random.default_rng(0).uniform(size=(16, 16)) < 0.5, 1.0, 100.0)
    assert not homogenise(_isotropic(shear, shear), max_iterations=2).converged


@pytest.mark.skipif("MFAL_DATA" not in os.environ, reason="MFAL_DATA names the folder with dualphase_micrograph.npz")
def test_a_real_dual_phase_micrograph_is_within_its_bounds():
    with np.load(Path(os.environ["MFAL_DATA"]) / "dualphase_micrograph.npz") as stored:
        hard = stored["bw"][:201, :201].astype(int)
    # Plane strain bulk modulus and shear modulus of ferrite and of a phase three times as stiff, GPa.
    bulk, shear = np.array([202.0, 606.0]), np.array([81.0, 243.0])
    found = homogenise(_isotropic(bulk[hard], shear[hard]), tolerance=1e-8)
    assert found.converged
    phases = np.moveaxis(np.asarray(_isotropic(bulk[:, None], shear[:, None]))[..., 0], -1, 0)
    fractions = jnp.bincount(hard.ravel(), length=2) / hard.size
    ends = voigt_reuss(jnp.asarray(phases), fractions)
    assert excess(ends.reuss, found.effective) > 0 and excess(found.effective, ends.voigt) > 0
    # Almost isotropic, so Hashin and Shtrikman's are close to holding too.
    inner = hashin_shtrikman(jnp.asarray(bulk), jnp.asarray(shear), fractions, 2)
    mean_bulk = float(jnp.mean(found.effective[:2, :2]))
    assert 0.98 * inner.bulk_low < mean_bulk < 1.02 * inner.bulk_high
