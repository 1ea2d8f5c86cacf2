"""Elastic tensors: a crystal of known stiffness, second derivatives of energies, symmetry, averages, refusals."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.filters import FrechetCellFilter
from ase.optimize import BFGS
from fake_potentials import EV_PER_A3_IN_GPA, Emt, Hookean
from scipy.spatial.transform import Rotation

from physics.mlip.potential import Outcome, Refusal, Relaxation, RelaxationSettings
from physics.thermodynamics.elastic import Elasticity, averages, elastic_tensors, point_group, symmetrised


def relaxed(atoms):
    atoms.calc = EMT()
    BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=1e-5, steps=300)
    atoms.calc = None
    return atoms


@pytest.fixture(scope="module")
def copper():
    return relaxed(bulk("Cu", cubic=True))


@pytest.fixture(scope="module")
def hexagonal():
    return relaxed(bulk("Cu", "hcp", a=2.55, c=4.16))


def curvature_gpa(atoms, strain, size=0.004, clamped=False):
    """Second derivative of the relaxed energy along a strain, over the volume: sum of C_ij e_i e_j, GPa."""

    def energy(factor):
        moved = atoms.copy()
        moved.set_cell(atoms.cell.array @ (np.eye(3) + factor * np.asarray(strain)), scale_atoms=True)
        moved.calc = EMT()
        if not clamped:
            BFGS(moved, logfile=None).run(fmax=1e-6, steps=300)
        return moved.get_potential_energy()

    second = (energy(size) - 2 * energy(0.0) + energy(-size)) / size**2
    return second / atoms.get_volume() * EV_PER_A3_IN_GPA


def test_known_triclinic_stiffness():
    rng = np.random.default_rng(3)
    half = rng.normal(size=(6, 6))
    stiffness = 40 * np.eye(6) + 10 * half @ half.T
    cell = np.array([[3.0, 0.2, -0.1], [0.7, 3.9, 0.3], [-0.4, 0.8, 5.1]])
    atoms = Atoms("NaClK", cell=cell, pbc=True, scaled_positions=[[0, 0, 0], [0.4, 0.3, 0.1], [0.1, 0.7, 0.6]])
    (found,) = elastic_tensors(Hookean(cell, stiffness), [atoms], (1e-4, 2e-4))
    np.testing.assert_allclose(found.stiffness_gpa, stiffness, atol=1e-4)
    np.testing.assert_allclose(found.raw_gpa, stiffness, atol=1e-4)
    assert found.stable
    assert found.asymmetry < 1e-6
    coarse, clamped = elastic_tensors(Hookean(cell, stiffness), [atoms, atoms], relaxation=None)
    np.testing.assert_allclose(coarse.stiffness_gpa, stiffness, atol=0.1)  # quadratic in the size of the strain
    assert 1e-6 < coarse.roughness < 1e-2
    np.testing.assert_array_equal(coarse.stiffness_gpa, clamped.stiffness_gpa)


def test_raw_rows_are_stresses_and_its_transpose_is_averaged():
    lopsided = 100 * np.eye(6) + np.random.default_rng(9).normal(0, 5, (6, 6))  # no energy has these stresses
    cell = np.array([[3.0, 0.2, -0.1], [0.7, 3.9, 0.3], [-0.4, 0.8, 5.1]])
    atoms = Atoms("NaClK", cell=cell, pbc=True, scaled_positions=[[0, 0, 0], [0.4, 0.3, 0.1], [0.1, 0.7, 0.6]])
    (found,) = elastic_tensors(Hookean(cell, lopsided), [atoms], (1e-4,))
    np.testing.assert_allclose(found.raw_gpa, lopsided, atol=1e-3)
    even = (lopsided + lopsided.T) / 2
    np.testing.assert_allclose(found.stiffness_gpa, even, atol=1e-3)
    assert found.asymmetry == pytest.approx(np.linalg.norm(lopsided - even) / np.linalg.norm(even), rel=1e-3)
    assert found.roughness is None


def test_soft_direction_is_not_stable():
    stiffness = np.diag([100.0, 90, 80, 30, 20, -5])
    atoms = Atoms("NaClK", cell=[3, 4, 5], pbc=True, scaled_positions=[[0, 0, 0], [0.4, 0.3, 0.1], [0.1, 0.7, 0.6]])
    (found,) = elastic_tensors(Hookean(np.diag([3, 4, 5]), stiffness), [atoms])
    assert not found.stable
    assert found.averages is None
    assert found.stiffness_gpa[5, 5] == pytest.approx(-5, abs=0.1)


def test_cubic_constants_are_second_derivatives_of_the_energy(copper):
    (found,) = elastic_tensors(Emt(), [copper])
    c = found.stiffness_gpa
    c11, c12, c44 = c[0, 0], c[0, 1], c[3, 3]
    assert c11 == pytest.approx(curvature_gpa(copper, np.diag([1, 0, 0])), rel=3e-3)
    assert 2 * c11 - 2 * c12 == pytest.approx(curvature_gpa(copper, np.diag([1, -1, 0])), rel=3e-3)
    shear = np.zeros((3, 3))
    shear[1, 2] = shear[2, 1] = 0.5
    assert c44 == pytest.approx(curvature_gpa(copper, shear), rel=3e-3)
    cubic = np.zeros((6, 6))
    cubic[:3, :3] = c12
    np.fill_diagonal(cubic, [c11] * 3 + [c44] * 3)
    np.testing.assert_allclose(c, cubic, atol=1e-8)
    assert found.asymmetry < 1e-6
    assert found.roughness < 1e-3
    assert found.averages.bulk_hill_gpa == pytest.approx((c11 + 2 * c12) / 3)


def test_hexagonal_constants_with_internal_relaxation(hexagonal):
    potential = Emt()
    (found,) = elastic_tensors(potential, [hexagonal])
    (clamped,) = elastic_tensors(potential, [hexagonal], relaxation=None)
    assert (potential.relaxed, potential.predicted) == (1, 1)
    c = found.stiffness_gpa
    modes = {
        "c11": (np.diag([1, 0, 0]), c[0, 0]),
        "c33": (np.diag([0, 0, 1]), c[2, 2]),
        "c11+c33+2c13": (np.diag([1, 0, 1]), c[0, 0] + c[2, 2] + 2 * c[0, 2]),
        "c66": (np.array([[0, 0.5, 0], [0.5, 0, 0], [0, 0, 0]]), c[5, 5]),
        "c44": (np.array([[0, 0, 0.5], [0, 0, 0], [0.5, 0, 0]]), c[4, 4]),
    }
    for name, (strain, constant) in modes.items():
        assert constant == pytest.approx(curvature_gpa(hexagonal, strain), rel=3e-3), name
    assert c[5, 5] == pytest.approx((c[0, 0] - c[0, 1]) / 2)
    assert c[0, 0] == pytest.approx(c[1, 1])
    fixed = clamped.stiffness_gpa
    assert fixed[5, 5] == pytest.approx(curvature_gpa(hexagonal, modes["c66"][0], clamped=True), rel=3e-3)
    assert fixed[5, 5] > 1.2 * c[5, 5]  # the relaxation matters, so its absence would show


def test_turned_crystal_has_the_turned_tensor(hexagonal):
    turn = Rotation.from_rotvec([0.3, -0.5, 0.9]).as_matrix()
    turned = hexagonal.copy()
    turned.set_cell(hexagonal.cell.array @ turn.T, scale_atoms=True)
    straight, other = elastic_tensors(Emt(), [hexagonal, turned])
    expected = four_index(straight.stiffness_gpa)
    expected = np.einsum("ia,jb,kc,ld,abcd", turn, turn, turn, turn, expected)
    np.testing.assert_allclose(four_index(other.stiffness_gpa), expected, atol=0.3)
    assert other.averages.shear_hill_gpa == pytest.approx(straight.averages.shear_hill_gpa, rel=2e-3)


def four_index(stiffness):
    """Write the 6 x 6 matrix as a 3 x 3 x 3 x 3 tensor, entry by entry."""
    place = {(0, 0): 0, (1, 1): 1, (2, 2): 2, (1, 2): 3, (0, 2): 4, (0, 1): 5}
    full = np.empty((3, 3, 3, 3))
    for i, j, k, m in np.ndindex(3, 3, 3, 3):
        full[i, j, k, m] = stiffness[place[min(i, j), max(i, j)], place[min(k, m), max(k, m)]]
    return full


def test_cubic_symmetry_averages_the_three_constants(copper):
    rotations = point_group(copper)
    assert len(rotations) == 48
    noisy = np.random.default_rng(4).normal(size=(6, 6))
    mean = symmetrised(noisy, rotations)
    assert mean[0, 0] == pytest.approx(np.mean(np.diag(noisy)[:3]))
    assert mean[3, 3] == pytest.approx(np.mean(np.diag(noisy)[3:]))
    off = noisy[:3, :3][~np.eye(3, dtype=bool)]
    assert mean[0, 1] == pytest.approx(off.mean())
    np.testing.assert_allclose(mean[:3, 3:], 0, atol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_symmetrisation_agrees_with_pymatgen(hexagonal):
    from pymatgen.analysis.elasticity import ElasticTensor
    from pymatgen.io.ase import AseAtomsAdaptor

    noisy = np.random.default_rng(5).normal(size=(6, 6))
    noisy = noisy + noisy.T
    turned = hexagonal.copy()
    turned.set_cell(turned.cell.array @ Rotation.from_rotvec([1, 0.2, -0.4]).as_matrix(), scale_atoms=True)
    structure = AseAtomsAdaptor.get_structure(turned)
    peer = ElasticTensor.from_voigt(noisy).fit_to_structure(structure, symprec=0.01)
    np.testing.assert_allclose(symmetrised(noisy, point_group(turned)), peer.voigt, atol=1e-5)


def test_noise_of_the_potential_shows_as_asymmetry(copper):
    class Noisy(Emt):
        def predict(self, structures):
            rng = np.random.default_rng(6)
            answers = super().predict(structures)
            for answer in answers:
                answer.stress_gpa[...] += rng.normal(0, 0.05, (3, 3))
            return answers

    (clean,) = elastic_tensors(Emt(), [copper], relaxation=None)
    (noisy,) = elastic_tensors(Noisy(), [copper], relaxation=None)
    error = np.abs(noisy.raw_gpa - clean.raw_gpa)
    assert noisy.asymmetry > 0.01
    assert noisy.roughness > 0.01
    assert np.abs(noisy.stiffness_gpa - clean.stiffness_gpa).max() < error.max() / 2  # symmetry averages it out


def test_averages_of_a_cubic_crystal_by_hand():
    c11, c12, c44 = 170.0, 120.0, 75.0
    stiffness = np.full((6, 6), 0.0)
    stiffness[:3, :3] = c12
    np.fill_diagonal(stiffness, [c11] * 3 + [c44] * 3)
    found = averages(stiffness)
    voigt, reuss = (c11 - c12 + 3 * c44) / 5, 5 * (c11 - c12) * c44 / (4 * c44 + 3 * (c11 - c12))
    assert found.shear_voigt_gpa == pytest.approx(voigt)
    assert found.shear_reuss_gpa == pytest.approx(reuss)
    assert found.shear_hill_gpa == pytest.approx((voigt + reuss) / 2)
    assert found.bulk_voigt_gpa == pytest.approx((c11 + 2 * c12) / 3)
    assert found.bulk_reuss_gpa == pytest.approx((c11 + 2 * c12) / 3)


def test_hexagonal_bulk_bounds_have_their_order(hexagonal):
    (found,) = elastic_tensors(Emt(), [hexagonal])
    compliance = np.linalg.inv(found.stiffness_gpa)
    assert found.averages.bulk_reuss_gpa == pytest.approx(1 / compliance[:3, :3].sum())
    assert found.averages.bulk_voigt_gpa == pytest.approx(found.stiffness_gpa[:3, :3].mean())
    assert found.averages.shear_reuss_gpa < found.averages.shear_hill_gpa < found.averages.shear_voigt_gpa


def test_small_stress_of_the_start_cancels_and_a_large_one_is_refused(copper):
    near, far = copper.copy(), copper.copy()
    near.set_cell(copper.cell * 1.001, scale_atoms=True)
    far.set_cell(copper.cell * 0.98, scale_atoms=True)
    start, moved, refused = elastic_tensors(Emt(), [copper, near, far])
    assert isinstance(refused, Refusal)
    assert "relax its cell" in refused.reason
    assert moved.residual_stress_gpa[0, 0] == pytest.approx(3 * 0.001 * start.averages.bulk_hill_gpa, rel=0.02)
    # softer by the derivative of the bulk modulus, about 5, times the change of the volume
    np.testing.assert_allclose(moved.stiffness_gpa, start.stiffness_gpa, atol=0.025 * 170)
    assert moved.averages.bulk_hill_gpa < start.averages.bulk_hill_gpa


def test_many_materials_in_one_call_with_refusals_in_their_place(copper):
    potential = Emt()
    structures = [bulk("Fe"), copper, molecule("H2O"), Atoms(), copper]
    found = elastic_tensors(potential, structures)
    assert (potential.relaxed, [isinstance(one, Elasticity) for one in found]) == (1, [False, True, False, False, True])
    assert "EMT has no Fe" in found[0].reason
    assert "periodic" in found[2].reason
    np.testing.assert_array_equal(found[1].stiffness_gpa, found[4].stiffness_gpa)
    assert elastic_tensors(potential, []) == []


def test_unfinished_relaxation_is_refused(hexagonal):
    (found,) = elastic_tensors(Emt(), [hexagonal], relaxation=RelaxationSettings(1e-9, 1, moves_cell=False))
    assert isinstance(found, Refusal)
    assert "did not relax: not converged" in found.reason


def test_exploded_relaxation_and_broken_stress_are_refused(copper):
    class Broken(Emt):
        def relax(self, structures, settings, watch=lambda done: None):
            answers = super().relax(structures, settings)
            answers[3] = Relaxation(answers[3].atoms, answers[3].prediction, 5, Outcome.EXPLODED)
            answers[25 + 7].prediction.stress_gpa[0, 0] = np.nan
            return answers

    exploded, infinite, fine = elastic_tensors(Broken(), [copper] * 3)
    assert "exploded" in exploded.reason
    assert "not finite" in infinite.reason
    assert isinstance(fine, Elasticity)


def test_settings_that_measure_nothing_are_refused(copper):
    with pytest.raises(ValueError, match="moves_cell=False"):
        elastic_tensors(Emt(), [copper], relaxation=RelaxationSettings())
    for strains in ((), (0.0,), (-0.01,), (0.6,)):
        with pytest.raises(ValueError, match="sizes above 0"):
            elastic_tensors(Emt(), [copper], strains)


def test_start_is_left_as_it_was(copper):
    before = copper.copy()
    elastic_tensors(Emt(), [copper])
    assert copper == before
