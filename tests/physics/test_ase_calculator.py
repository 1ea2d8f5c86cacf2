"""ASE calculators as potentials: against ASE itself, and what becomes of their failures."""

import sys
import types

import numpy as np
import pytest

pytest.importorskip("ase")

from ase import Atoms
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes
from ase.calculators.emt import EMT
from ase.constraints import FixAtoms

from physics.mlip.ase_calculator import AsePotential
from physics.mlip.embedding import EncodingError, embeddings
from physics.mlip.potential import Refusal, RelaxationSettings


@pytest.fixture
def metals():
    found = [bulk("Cu", cubic=True), bulk("Al"), bulk("Ni", a=3.4)]
    for seed, atoms in enumerate(found):
        atoms.rattle(0.1, seed=seed)
        atoms.set_cell(atoms.cell.array @ [[1, 0.02, 0], [0, 1, 0], [0, 0, 0.97]], scale_atoms=True)
    return found


class Given(Calculator):
    """Answers with what it is given, and fails for gold."""

    implemented_properties = ("energy", "forces", "stress", "magmoms")

    def __init__(self, **given):
        super().__init__()
        self.given = given

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        """Fill the results."""
        super().calculate(atoms, properties, system_changes)
        if "Au" in atoms.symbols:
            raise FileNotFoundError("no pseudopotential of Au")
        zeros = {"energy": 0.0, "forces": np.zeros((len(atoms), 3)), "stress": np.zeros(6)}
        self.results = zeros | self.given


def test_answers_as_ase_does(metals):
    for atoms, found in zip(metals, AsePotential(EMT, "EMT").predict(metals), strict=True):
        direct = atoms.copy()
        direct.calc = EMT()
        assert found.energy_ev_per_atom == direct.get_potential_energy() / len(atoms)
        np.testing.assert_array_equal(found.forces_ev_per_a, direct.get_forces())
        np.testing.assert_allclose(found.stress_gpa, direct.get_stress(voigt=False) * 160.2176634)
        assert found.magnetic_moments_mu_b is None and found.embedding is None


def test_the_stress_is_the_derivative_of_the_energy(metals):
    atoms, step = metals[0], 1e-4
    moved = [atoms.copy() for _ in range(2)]
    for sign, one in zip((1, -1), moved, strict=True):
        one.set_cell(atoms.cell.array @ np.diag([1, 1, 1 + sign * step]), scale_atoms=True)
    here, plus, minus = AsePotential(EMT, "EMT").predict([atoms, *moved])
    slope = (plus.energy_ev_per_atom - minus.energy_ev_per_atom) * len(atoms) / (2 * step)
    assert here.stress_gpa[2, 2] == pytest.approx(slope / atoms.get_volume() * 160.2176634, rel=1e-5)


def test_a_constraint_hides_no_force(metals):
    fixed = metals[0].copy()
    fixed.set_constraint(FixAtoms(range(len(fixed))))
    free, found = AsePotential(EMT, "EMT").predict([metals[0], fixed])
    np.testing.assert_array_equal(found.forces_ev_per_a, free.forces_ev_per_a)
    assert len(fixed.constraints) == 1 and fixed.calc is None


def test_magnetic_moments_are_passed_on(metals):
    potential = AsePotential(lambda: Given(magmoms=np.full(4, 0.5)), "given")
    np.testing.assert_array_equal(potential.predict(metals[:1])[0].magnetic_moments_mu_b, np.full(4, 0.5))


def test_a_failure_is_a_refusal_and_the_next_calculator_is_new(metals):
    made = []
    potential = AsePotential(lambda: made.append(Given()) or made[-1], "given")
    found = potential.predict([metals[0], bulk("Au"), metals[1], metals[2]])
    assert [isinstance(one, Refusal) for one in found] == [False, True, False, False]
    assert found[1].reason == "Given failed with FileNotFoundError: no pseudopotential of Au"
    assert len(made) == 2


def test_a_calculator_without_stress_is_refused(metals):
    class Stressless(Given):
        implemented_properties = ("energy", "forces")

    (found,) = AsePotential(Stressless, "stressless").predict(metals[:1])
    assert isinstance(found, Refusal) and "stress" in found.reason


def test_an_answer_that_is_not_finite_is_refused(metals):
    (found,) = AsePotential(lambda: Given(energy=np.nan), "given").predict(metals[:1])
    assert isinstance(found, Refusal) and "not finite" in found.reason


def test_refuses_in_place_without_asking_the_calculator():
    twice = Atoms("Cu2", positions=[[0, 0, 0], [0.1, 0, 0]], cell=[4, 4, 4], pbc=True)
    tiny = Atoms("Cu", cell=[1e-3, 1e-3, 1e-3], pbc=True)
    slab = Atoms("Cu", cell=[3, 3, 9], pbc=[True, True, False])
    found = AsePotential(lambda: pytest.fail("asked"), "never").predict([twice, tiny, slab, Atoms()])
    for text, answer in zip(("0.100", "0.001", "periodic", "no atoms"), found, strict=True):
        assert text in answer.reason


def test_relaxes_on_the_host(metals, monkeypatch):
    host = types.ModuleType("physics.mlip.host_relax")
    host.relax_on_host = lambda *arguments: arguments
    monkeypatch.setitem(sys.modules, "physics.mlip.host_relax", host)
    potential, settings = AsePotential(EMT, "EMT"), RelaxationSettings()
    assert potential.relax(metals, settings, print) == (potential.predict, metals, settings, print)


def test_has_no_embeddings(metals):
    with pytest.raises(EncodingError, match="EMT has no embeddings"):
        embeddings(AsePotential(EMT, "EMT"))(metals)
