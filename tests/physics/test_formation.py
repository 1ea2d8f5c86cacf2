"""CHGNet's ground states: against calorimetry, deterministic, blind to rotation; hopeless relaxations are given up."""

import numpy as np
import pytest

pytest.importorskip("chgnet")

from physics.experiment.replay import measured_compounds
from physics.mlip import chgnet
from physics.mlip.ase import relax
from physics.mlip.formation import describe, element, ground_state
from physics.prototypes import build, elemental_reference


@pytest.fixture(scope="module")
def potential():
    return chgnet.load()


@pytest.mark.parametrize("formula", ["ScPt", "AlNi", "ZrPt"])
def test_formation_energy_is_near_the_measured_one(potential, formula):
    compound = next(item for item in measured_compounds() if item.formula == formula)
    lowest = ground_state(*compound.elements, ["B2", "L10", "B33"], potential)
    elements = [element(symbol, potential)["energy_ev_per_atom"] for symbol in compound.elements]
    value = lowest["energy_ev_per_atom"] - sum(elements) / 2
    assert value == pytest.approx(compound.formation_energy_ev_per_atom, abs=0.25)
    assert min(lowest["prototypes"].values()) == pytest.approx(0.0, abs=0.02)


def test_same_bits_twice(potential):
    assert ground_state("Al", "Ni", ["B2", "L10"], potential) == ground_state("Al", "Ni", ["B2", "L10"], potential)


def test_rotation_changes_nothing(potential):
    atoms = build("B33", "Zr", "Pt", 18.0)
    turned = atoms.copy()
    turned.rotate(37.0, (1, 2, 3), rotate_cell=True)
    one, other = potential.energies_ev_per_atom([atoms, turned])
    assert one == pytest.approx(other, abs=2e-5)


def test_relaxation_keeps_symmetry_and_is_idealised(potential):
    found = relax(build("B33", "Zr", "Pt", 19.0), potential.calculator())
    assert found.failure is None
    record = describe(found.atoms)
    assert record["space_group"] == 63
    assert len(record["structure"]["numbers"]) == 4


def test_hopeless_and_unconverged_relaxations_say_so(potential):
    atoms, calculator = build("B27", "Zr", "Pt", 18.0), potential.calculator()
    assert "given up" in relax(atoms, calculator, hopeless_above_ev_per_atom=-50.0).failure
    assert "not converged" in relax(atoms, calculator, max_steps=3).failure


def test_explosion_is_reported(potential):
    atoms = elemental_reference("Al")
    atoms.set_cell(atoms.cell * 0.55, scale_atoms=True)
    failure = relax(atoms, potential.calculator(), max_steps=30).failure
    assert failure is not None


def test_nothing_relaxes_is_a_failure(potential, monkeypatch):
    from physics.mlip import formation
    from physics.mlip.ase import Relaxation

    monkeypatch.setattr(
        formation, "relax", lambda atoms, *_, **__: Relaxation(atoms, np.nan, 1, "two atoms came within 0.5 angstrom")
    )
    assert "within 0.5" in ground_state("Al", "Ni", ["B2"], potential)["failure"]


def test_unknown_weights():
    with pytest.raises(ValueError, match=r"r2scan"):
        chgnet.load("9.9")
