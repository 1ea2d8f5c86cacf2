"""Birch-Murnaghan fits: exact curves, pymatgen's and ASE's own fits, and scans by a potential with refusals."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.eos import EquationOfState as AseEquationOfState
from fake_potentials import EV_PER_A3_IN_GPA, Emt
from pymatgen.analysis.eos import EOS

from physics.mlip.potential import Refusal
from physics.thermodynamics.equation_of_state import EquationOfState, equations_of_state, fit_birch_murnaghan


def birch_murnaghan(volume, v0, energy, bulk_gpa, derivative):
    """As in the literature, by the Eulerian strain (Birch 1947)."""
    f = ((v0 / volume) ** (2 / 3) - 1) / 2
    return energy + 9 * v0 * bulk_gpa / EV_PER_A3_IN_GPA / 2 * f**2 * (1 + (derivative - 4) * f)


@pytest.fixture
def exact():
    """Parameters, volumes and energies of 200 materials, each with its own volumes."""
    rng = np.random.default_rng(1)
    parameters = rng.uniform([5, -900, 1, 2], [60, 0, 500, 7], (200, 4))
    volumes = parameters[:, :1] * (np.linspace(0.88, 1.1, 9) + rng.uniform(-0.01, 0.01, (200, 9)))
    return parameters, volumes, birch_murnaghan(volumes, *parameters.T[..., None])


def test_exact_curves_are_recovered(exact):
    parameters, volumes, energies = exact
    fits = fit_birch_murnaghan(volumes, energies)
    found = [fits.volume_a3_per_atom, fits.energy_ev_per_atom, fits.bulk_modulus_gpa, fits.pressure_derivative]
    assert not any(fits.failures)
    np.testing.assert_allclose(np.transpose(found)[:, :2], parameters[:, :2], rtol=1e-6)
    # energies of -900 eV carry rounding of 1e-13, which soft materials feel
    np.testing.assert_allclose(fits.bulk_modulus_gpa, parameters[:, 2], rtol=1e-5)
    np.testing.assert_allclose(fits.pressure_derivative, parameters[:, 3], rtol=1e-3)
    assert fits.residual_ev_per_atom.max() < 1e-11


def test_derivative_of_four_makes_a_parabola():
    volumes = np.linspace(9, 11, 9)
    fits = fit_birch_murnaghan(volumes[None], birch_murnaghan(volumes, 10.1, -3, 100, 4)[None])
    assert fits.pressure_derivative[0] == pytest.approx(4, abs=1e-7)
    assert fits.volume_a3_per_atom[0] == pytest.approx(10.1, rel=1e-10)


@pytest.mark.parametrize(
    "shape", [(1, -0.2, -3, 5), (1, 0, -1, 2), (1, 0.1, -1, 1.5), (1, -0.3, 1, 0), (1, 0.2, 2, -1)]
)
def test_minimum_of_any_cubic_in_the_scan_is_found(shape):
    """Also where the curvature changes its sign within the scan."""
    x = np.linspace(20, 22, 9) ** (-2 / 3)
    cubic = np.polynomial.Polynomial(shape, domain=[x.min(), x.max()], window=[-1, 1])
    (lowest,) = (root for root in cubic.deriv().roots() if cubic.deriv(2)(root) > 0)
    fits = fit_birch_murnaghan(x[None] ** -1.5, cubic(x)[None])
    assert fits.volume_a3_per_atom[0] == pytest.approx(lowest**-1.5, rel=1e-9)
    curvature = 4 / 9 * cubic.deriv(2)(lowest) * lowest**3.5 * EV_PER_A3_IN_GPA
    assert fits.bulk_modulus_gpa[0] == pytest.approx(curvature, rel=1e-6)


def test_bulk_modulus_is_the_curvature_of_another_equation_of_state():
    """On Vinet's curve, not Birch's: a narrow scan gives the moduli it was made with."""
    eta = 3 / 2 * (5.2 - 1)
    volumes = 20 * np.linspace(0.98, 1.02, 11)
    y = 1 - (volumes / 20) ** (1 / 3)
    energies = 9 * 20 * 80 / EV_PER_A3_IN_GPA / eta**2 * (1 - (1 - eta * y) * np.exp(eta * y))
    fits = fit_birch_murnaghan(volumes[None], energies[None])
    assert fits.bulk_modulus_gpa[0] == pytest.approx(80, rel=1e-4)
    assert fits.pressure_derivative[0] == pytest.approx(5.2, abs=0.02)


def test_agrees_with_pymatgen_and_ase_on_rough_energies(exact):
    _, volumes, energies = (values[:5] for values in exact)
    energies = energies + np.random.default_rng(2).normal(0, 1e-4, energies.shape)
    fits = fit_birch_murnaghan(volumes, energies)
    for row, (v, e) in enumerate(zip(volumes, energies, strict=True)):
        ours = fits.volume_a3_per_atom[row], fits.energy_ev_per_atom[row], fits.bulk_modulus_gpa[row]
        peer = EOS("birch_murnaghan").fit(v, e)
        np.testing.assert_allclose(ours, [peer.v0, peer.e0, peer.b0_GPa], rtol=1e-4)
        assert fits.pressure_derivative[row] == pytest.approx(peer.b1, rel=1e-3)
        v0, e0, b = AseEquationOfState(v, e, eos="birchmurnaghan").fit(warn=False)
        np.testing.assert_allclose(ours, [v0, e0, b * EV_PER_A3_IN_GPA], rtol=1e-4)
        assert 1e-5 < fits.residual_ev_per_atom[row] < 3e-4


def test_failures_are_named_and_leave_the_others_alone(exact):
    _, volumes, energies = (values[:6].copy() for values in exact)
    alone = fit_birch_murnaghan(volumes, energies)
    energies[1] = -energies[1]  # a maximum within
    energies[2] = birch_murnaghan(volumes[2], volumes[2].max() * 1.05, -1, 100, 4)
    energies[3, 2:7] = np.nan
    volumes[4], energies[4] = volumes[4, 0], -1.0
    energies[5, 3] = np.nan  # eight are left, which is enough
    fits = fit_birch_murnaghan(volumes, energies)
    words = [None, "no minimum", "outside", "fewer than 5", "fewer than 5", None]
    for failure, word in zip(fits.failures, words, strict=True):
        assert (failure is None) if word is None else (failure is not None and word in failure)
    for name in ("volume_a3_per_atom", "energy_ev_per_atom", "bulk_modulus_gpa", "pressure_derivative"):
        values = getattr(fits, name)
        np.testing.assert_array_equal(np.isnan(values), [word is not None for word in words])
        assert values[0] == getattr(alone, name)[0]
        assert values[5] == pytest.approx(getattr(alone, name)[5], rel=1e-4)


@pytest.mark.parametrize("volumes, energies", [(np.ones(9), np.ones(9)), (np.ones((1, 9)), np.ones((1, 8)))])
def test_wrong_shapes_are_refused(volumes, energies):
    with pytest.raises(ValueError, match="one row a material"):
        fit_birch_murnaghan(volumes, energies)


def test_level_energies_have_no_minimum():
    (failure,) = fit_birch_murnaghan(np.linspace(9, 11, 9)[None], np.full((1, 9), -3.0)).failures
    assert failure is not None
    assert "no minimum" in failure


def test_volumes_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="positive volumes"):
        fit_birch_murnaghan(np.array([[1.0, 2, 3, 4, 0]]), np.zeros((1, 5)))


def test_scan_matches_the_pressure_of_the_potential():
    potential = Emt()
    found = equations_of_state(potential, [bulk("Cu"), bulk("Ag", cubic=True)], np.linspace(-0.01, 0.01, 9).tolist())
    assert potential.predicted == 1
    for start, one in zip((bulk("Cu"), bulk("Ag", cubic=True)), found, strict=True):
        assert isinstance(one, EquationOfState)
        volumes = one.volume_a3_per_atom * np.array([0.999, 1, 1.001])
        scaled = [start.copy() for _ in volumes]
        for atoms, volume in zip(scaled, volumes, strict=True):
            atoms.set_cell(atoms.cell * (volume * len(atoms) / atoms.get_volume()) ** (1 / 3), scale_atoms=True)
        pressures = [-np.trace(answer.stress_gpa) / 3 for answer in potential.predict(scaled)]
        assert pressures[1] == pytest.approx(0, abs=0.01)
        stiffness = -volumes[1] * (pressures[2] - pressures[0]) / (volumes[2] - volumes[0])
        assert one.bulk_modulus_gpa == pytest.approx(stiffness, rel=2e-3)


def test_refused_and_broken_structures_stand_in_their_place():
    potential = Emt()
    flat = Atoms("Cu", cell=[[2.5, 0, 0], [0, 2.5, 0], [2.5, 2.5, 0]], pbc=True)
    lost = bulk("Cu")
    lost.positions[0, 0] = np.nan
    far = bulk("Cu", a=4.2)
    structures = [bulk("Cu"), bulk("Fe"), flat, molecule("H2O"), Atoms(), lost, far, bulk("Al")]
    found = equations_of_state(potential, structures)
    words = [None, "EMT has no Fe", "periodic", "periodic", "no atoms", "finite", "outside", None]
    for one, word in zip(found, words, strict=True):
        assert isinstance(one, Refusal) == (word is not None)
        assert word is None or word in one.reason
    assert "-0.0300" in found[1].reason
    assert found[0] == equations_of_state(potential, [bulk("Cu")])[0]
    assert equations_of_state(potential, []) == []


def test_one_refused_volume_refuses_the_material():
    class Moody(Emt):
        def predict(self, structures):
            answers = super().predict(structures)
            answers[4] = Refusal("not today")
            return answers

    (found,) = equations_of_state(Moody(), [bulk("Cu")])
    assert found == Refusal("at linear strain +0.0000: not today")


@pytest.mark.parametrize("strains", [(0.0, 0.01, -0.01), (-1.0, 0, 1, 2, 3), (0.01,) * 9])
def test_strains_without_a_fit_are_refused(strains):
    with pytest.raises(ValueError, match="at least 5"):
        equations_of_state(Emt(), [bulk("Cu")], strains)


def test_start_is_left_as_it_was():
    atoms = bulk("Cu")
    equations_of_state(Emt(), [atoms])
    assert atoms == bulk("Cu")
