import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pymatgen")

from mfal.constraints.conservation import Precursor, Recipe, balance, drift, recipe_verdict, trajectory_verdict
from mfal.errors import ConstraintError
from mfal.space.formula import Formula


def _weighed(formula, mol, purity=1.0):
    return Precursor(formula, mol * Formula.parse(formula).mass / purity, purity)


def _titanate(barium=1.0, purity=1.0):
    return Recipe((_weighed("BaCO3", barium, purity), _weighed("TiO2", 1.0)), "BaTiO3", ("CO2",))


def test_a_solid_state_recipe_is_balanced():
    found = balance(_titanate())
    assert found.product_mol == pytest.approx(1.0)
    assert found.product_g == pytest.approx(233.2, abs=0.1)
    assert found.released_mol["CO2"] == pytest.approx(1.0)
    assert found.off == {"Ba": 0.0, "C": 0.0, "O": 0.0, "Ti": 0.0}
    assert recipe_verdict(_titanate(purity=0.98), 1e-9).admits


def test_the_element_that_is_off_is_named_with_how_much():
    alloy = Recipe(tuple(_weighed(symbol, 0.95 if symbol == "Cr" else 1.0) for symbol in ("Co", "Cr", "Ni")), "CoCrNi")
    assert balance(alloy).off == {"Co": 0.0, "Cr": pytest.approx(-0.05), "Ni": 0.0}
    assert recipe_verdict(alloy, 0.02).reasons == ("Cr is off by -5.00 % of what CoCrNi and its by-products hold",)
    assert recipe_verdict(alloy, 0.06).admits


def test_of_two_elements_the_one_in_excess_is_named():
    found = balance(Recipe((_weighed("Ni", 0.95), _weighed("Al", 3.0)), "NiAl3"))
    assert found.off == {"Al": pytest.approx(0.05 / 0.95), "Ni": 0.0}
    found = balance(_titanate(barium=0.95))
    assert found.off["Ti"] == pytest.approx(0.05 / 0.95)
    assert found.off["O"] == pytest.approx(0.1 / 4.75)
    assert found.off["Ba"] == found.off["C"] == 0.0


def test_oxygen_may_enter_only_from_an_atmosphere():
    precursors = (_weighed("Li2CO3", 0.5), _weighed("Co3O4", 1 / 3))
    closed = Recipe(precursors, "LiCoO2", ("CO2",))
    in_air = Recipe(precursors, "LiCoO2", ("CO2",), ("O2",))
    assert not recipe_verdict(closed, 0.01).admits
    assert recipe_verdict(in_air, 1e-9).admits
    assert balance(in_air).released_mol["O2"] == pytest.approx(-1 / 12)


def test_a_by_product_that_is_not_declared_has_no_place():
    recipe = Recipe((_weighed("BaCO3", 1.0), _weighed("TiO2", 1.0)), "BaTiO3")
    assert any("C has no place" in reason for reason in recipe_verdict(recipe, 0.01).reasons)


@settings(deadline=None, max_examples=50)
@given(st.floats(0.01, 100.0), st.floats(0.5, 1.0))
def test_scale_and_purity_leave_a_balanced_recipe_balanced(scale, purity):
    recipe = Recipe((_weighed("Fe2O3", scale, purity), _weighed("FeO", scale)), "Fe3O4")
    assert balance(recipe).product_mol == pytest.approx(scale)
    assert recipe_verdict(recipe, 1e-7).admits


@pytest.mark.parametrize(
    ("build", "complaint"),
    [
        (lambda: Precursor("BaCO3", -1.0), "positive mass"),
        (lambda: Precursor("BaCO3", float("nan")), "positive mass"),
        (lambda: Precursor("BaCO3", 1.0, 1.5), "share above 0"),
        (lambda: Recipe((), "BaTiO3"), "no precursor"),
        (lambda: balance(Recipe((Precursor("NaCl", 1.0),), "BaTiO3")), "no BaTiO3 comes out"),
        (lambda: balance(Recipe((Precursor("Xx", 1.0),), "BaTiO3")), "unknown element"),
        (lambda: recipe_verdict(_titanate(), -1.0), "no tolerance"),
    ],
)
def test_recipes_that_cannot_be_are_refused(build, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        build()


def _chain(step, frames=4000, field=0.0, euler=False):
    """Integrate ten masses on springs in a ring: velocity Verlet, or Euler, which heats."""
    random = np.random.default_rng(0)
    masses, x, v = random.uniform(1.0, 3.0, 10), random.normal(size=(10, 3)) * 0.1, random.normal(size=(10, 3)) * 0.1
    v -= (masses @ v / masses.sum()) - 0.05
    energies, velocities = [], []

    def force(x):
        return np.roll(x, 1, axis=0) + np.roll(x, -1, axis=0) - 2 * x + field

    for _ in range(frames):
        energies.append(0.5 * masses @ (v**2).sum(axis=1) + 0.5 * ((x - np.roll(x, 1, axis=0)) ** 2).sum())
        velocities.append(v)
        if euler:
            x, v = x + step * v, v + step * force(x) / masses[:, None]
        else:
            half = v + 0.5 * step * force(x) / masses[:, None]
            x = x + step * half
            v = half + 0.5 * step * force(x) / masses[:, None]
    return drift(np.array(energies), np.array(velocities), masses)


def test_a_closed_system_shows_no_drift():
    found = _chain(0.05)
    assert trajectory_verdict(found, 1e-6, 1e-12).admits, found


def test_an_integrator_that_heats_is_refused_for_its_energy():
    verdict = trajectory_verdict(_chain(0.005, euler=True), 1e-5, 1e-9)
    assert not verdict.admits
    assert len(verdict.reasons) == 1
    assert "energy drifts by" in verdict.reasons[0]


def test_a_force_from_outside_is_refused_for_its_momentum():
    verdict = trajectory_verdict(_chain(0.05, field=1e-4), 1.0, 1e-6)
    assert len(verdict.reasons) == 1
    assert "momentum drifts by" in verdict.reasons[0]


def test_a_straight_rise_is_measured_as_it_is():
    found = drift(np.linspace(0.0, 0.4, 5), np.zeros((5, 4, 3)), np.ones(4))
    assert found.energy_ev_per_atom == pytest.approx(0.1)
    assert found.momentum == 0.0


@pytest.mark.parametrize(
    ("energy", "masses", "complaint"),
    [
        ([0.0, 0.0], [1.0], "at least three"),
        ([0.0, np.nan, 0.0], [1.0], "not finite"),
        ([0.0, 0.0, 0.0], [0.0], "not positive"),
    ],
)
def test_trajectories_that_say_nothing_are_refused(energy, masses, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        drift(np.array(energy), np.zeros((len(energy), 1, 3)), np.array(masses))
