"""Mandel notation and symmetry classes, against tensors of four indices and published crystals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from physics.elasticity.errors import ElasticityError
from physics.elasticity.polycrystal import random_rotations
from physics.elasticity.symmetry import symmetry_class
from physics.elasticity.tensor import (
    PAIRS,
    basis,
    from_voigt,
    planar_rotation,
    plane_strain,
    plane_stress,
    rotated,
    rotation_matrix,
    to_voigt,
)

CLASSES = [(name, dimension) for name in ("isotropic", "cubic", "hexagonal", "triclinic") for dimension in (2, 3)]
# Independent constants of the class (Nye 1985, Physical Properties of Crystals, table 9).
CONSTANTS = {"isotropic": 2, "cubic": 3, "hexagonal": 5, "triclinic": 21}


def _four_index(stiffness):
    tensors = basis({3: 2, 6: 3}[len(stiffness)])
    return np.einsum("ab,aij,bkl->ijkl", stiffness, tensors, tensors)


@pytest.mark.parametrize("dimension", [2, 3])
def test_a_rotation_is_that_of_the_tensor_of_four_indices(dimension):
    generator = np.random.default_rng(3)
    crystal = symmetry_class("triclinic", dimension)
    stiffness = crystal.stiffness(jnp.asarray(generator.normal(size=crystal.size)))
    turn = np.asarray(planar_rotation(jnp.asarray(0.7))) if dimension == 2 else random_rotations(1, generator)[0]
    turned = np.einsum("ia,jb,kc,ld,abcd->ijkl", turn, turn, turn, turn, _four_index(stiffness))
    np.testing.assert_allclose(_four_index(rotated(stiffness, jnp.asarray(turn))), turned, atol=1e-12)
    matrix = rotation_matrix(jnp.asarray(turn))
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(PAIRS[dimension])), atol=1e-14)


def test_voigt_shears_are_halved_moduli_of_mandel():
    voigt = np.arange(36.0).reshape(6, 6) + np.arange(36.0).reshape(6, 6).T
    mandel = from_voigt(jnp.asarray(voigt))
    assert mandel[0, 0] == voigt[0, 0] and mandel[3, 3] == pytest.approx(2 * voigt[3, 3])
    np.testing.assert_allclose(to_voigt(mandel), voigt)
    four = _four_index(np.asarray(mandel))
    assert four[0, 0, 1, 2] == pytest.approx(voigt[0, 3]) and four[1, 2, 0, 1] == pytest.approx(voigt[3, 5])


def test_plane_stress_of_an_isotropic_solid_has_the_textbook_constants():
    young, poisson = 210.0, 0.3
    shear, lame = young / 2 / (1 + poisson), young * poisson / (1 + poisson) / (1 - 2 * poisson)
    voigt = np.diag([2 * shear] * 3 + [shear] * 3)
    voigt[:3, :3] += lame
    mandel = from_voigt(jnp.asarray(voigt))
    stress = to_voigt(plane_stress(mandel))
    expected = young / (1 - poisson**2) * np.array([[1, poisson, 0], [poisson, 1, 0], [0, 0, (1 - poisson) / 2]])
    np.testing.assert_allclose(stress, expected, rtol=1e-12)
    assert to_voigt(plane_strain(mandel))[0, 0] == pytest.approx(lame + 2 * shear)


@pytest.mark.parametrize(("name", "dimension"), CLASSES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_numbers_give_a_symmetric_positive_definite_stiffness(name, dimension, data):
    crystal = symmetry_class(name, dimension)
    numbers = np.array(data.draw(st.lists(st.floats(-3, 3), min_size=crystal.size, max_size=crystal.size)))
    stiffness = np.asarray(crystal.stiffness(jnp.asarray(numbers)))
    np.testing.assert_array_equal(stiffness, stiffness.T)
    assert np.all(np.linalg.eigvalsh(stiffness) > 0)
    stiffer = crystal.stiffness(jnp.asarray(numbers + 0.5 * np.log(3.0) * crystal.logarithmic))
    np.testing.assert_allclose(stiffer, 3.0 * stiffness, atol=1e-14 * np.max(stiffness))


@pytest.mark.parametrize(("name", "dimension"), CLASSES)
def test_the_constants_named_are_as_many_as_the_free_numbers_and_fix_them(name, dimension):
    crystal = symmetry_class(name, dimension)
    assert len(crystal.constants) == crystal.size
    assert dimension == 2 or crystal.size == CONSTANTS[name]
    numbers = jnp.asarray(np.random.default_rng(1).normal(size=crystal.size) * 0.3)

    def constants(parameters):
        matrix = to_voigt(crystal.stiffness(parameters))
        return jnp.stack([matrix[row, column] for _, row, column in crystal.constants])

    assert np.linalg.cond(jax.jacfwd(constants)(numbers)) < 1e3
    np.testing.assert_allclose(crystal.parameters(crystal.stiffness(numbers)), numbers, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "axis", "degrees"),
    [("isotropic", "x", 31.0), ("cubic", "x", 90.0), ("cubic", "z", 90.0), ("hexagonal", "z", 41.0)],
)
def test_a_class_keeps_its_stiffness_under_its_own_rotations_alone(name, axis, degrees):
    crystal = symmetry_class(name, 3)
    stiffness = crystal.stiffness(jnp.asarray(np.random.default_rng(2).normal(size=crystal.size) * 0.3))
    own = Rotation.from_euler(axis, degrees, degrees=True).as_matrix()
    np.testing.assert_allclose(rotated(stiffness, jnp.asarray(own)), stiffness, atol=1e-12)
    other = Rotation.from_euler("xyz", (20.0, 30.0, 40.0), degrees=True).as_matrix()
    changed = np.max(np.abs(rotated(stiffness, jnp.asarray(other)) - stiffness))
    assert (changed < 1e-12) == (name == "isotropic")


def test_an_unknown_class_is_refused_with_those_that_there_are():
    with pytest.raises(ElasticityError, match=r"monoclinic.*cubic"):
        symmetry_class("monoclinic", 3)
