"""The measured table, and its replay as an oracle."""

import pytest

from physics.experiment.replay import METALS, measured_compounds


def test_table():
    compounds = measured_compounds()
    assert len(compounds) == 86
    assert len({compound.formula for compound in compounds}) == 86
    assert all(set(compound.elements) <= METALS for compound in compounds)
    assert not any("Mn" in compound.elements for compound in compounds)


def test_five_most_exothermic():
    lowest = sorted(measured_compounds(), key=lambda compound: compound.formation_energy_ev_per_atom)[:5]
    assert [compound.formula for compound in lowest] == ["LuPt", "HfPt", "AlRh", "ScPt", "ZrPt"]
    values = [compound.formation_energy_ev_per_atom for compound in lowest]
    assert values == pytest.approx([-1.2271, -1.1784, -1.1017, -1.0862, -1.0789], abs=1e-4)


def test_uncertainties_are_positive_or_absent():
    compounds = {compound.formula: compound for compound in measured_compounds()}
    assert compounds["AlFe"].uncertainty_ev_per_atom is None
    assert compounds["ScPt"].uncertainty_ev_per_atom == pytest.approx(0.056, abs=1e-3)
    assert all(item.uncertainty_ev_per_atom is None or item.uncertainty_ev_per_atom > 0 for item in compounds.values())


def test_electropositive_element_comes_first():
    compounds = {compound.formula: compound for compound in measured_compounds()}
    assert compounds["AlRh"].elements == ("Al", "Rh")
    assert compounds["ScPt"].elements == ("Sc", "Pt")


def test_setups_exist_for_every_metal():
    gpaw_data = pytest.importorskip("gpaw_data")
    from pathlib import Path

    folder = Path(next(iter(gpaw_data.__path__)))
    found = {path.name.split(".")[0] for path in folder.rglob("*.PBE.gz") if path.name.count(".") == 2}
    assert found >= METALS
