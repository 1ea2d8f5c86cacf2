"""The table of a screening: complete, resumable, and never of two models."""

import csv

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT

from physics import screening
from physics.screening import Answer, ScreeningError, screen
from physics.structures import Named, Unreadable

METALS = ("Al", "Cu", "Ag", "Au", "Ni", "Pd", "Pt")


def structures():
    """Return seven metals, one element that the potential does not know, and a broken file."""
    named = [Named(f"{symbol}.cif", bulk(symbol)) for symbol in (*METALS, "Fe")]
    return [*named[:3], Unreadable("broken.cif", "cannot be\nread"), *named[3:]]


def emt(asked):
    def model(atoms):
        asked.extend(one.get_chemical_formula() for one in atoms)
        return [answer(one) for one in atoms]

    return model


def answer(atoms):
    atoms = atoms.copy()
    atoms.calc = EMT()
    try:
        energy = atoms.get_potential_energy() / len(atoms)
    except NotImplementedError as error:
        return str(error)
    stress = atoms.get_stress(voigt=False) * 160.21766
    return Answer(energy, atoms.get_forces(), stress, np.zeros(len(atoms)))


def rows(table):
    with table.open(newline="") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


@pytest.fixture(autouse=True)
def _three_at_a_time(monkeypatch):
    monkeypatch.setattr(screening, "TOGETHER", 3)


def test_every_structure_has_a_row(tmp_path):
    done = []
    found = screen(structures(), emt([]), "emt", tmp_path / "t.csv", done.append)
    assert (found.answered, found.before, done) == (7, 0, [0, 3, 6, 9])
    assert dict(found.failures).keys() == {"broken.cif", "Fe.cif"}
    table = rows(tmp_path / "t.csv")
    assert list(table) == [one.name for one in structures()]
    assert table["broken.cif"]["failure"] == "cannot be read" and not table["broken.cif"]["energy_ev_per_atom"]
    assert table["Cu.cif"]["formula"] == "Cu" and table["Cu.cif"]["model"] == "emt" and not table["Cu.cif"]["failure"]
    expected = answer(bulk("Cu"))
    assert float(table["Cu.cif"]["energy_ev_per_atom"]) == pytest.approx(expected.energy_ev_per_atom, rel=1e-7)
    assert float(table["Cu.cif"]["pressure_gpa"]) == pytest.approx(-np.trace(expected.stress_gpa) / 3.0, rel=1e-6)


@pytest.mark.parametrize("cut", [0, 1, 40, 200, 400])
def test_a_table_that_was_cut_off_is_completed(tmp_path, cut):
    """Wherever it was cut: the same table, and nothing asked twice but what the cut took away."""
    whole, part = tmp_path / "whole.csv", tmp_path / "part.csv"
    screen(structures(), emt([]), "emt", whole)
    content = whole.read_bytes()
    part.write_bytes(content[: len(content) - cut])
    kept, asked = len(rows(part)) - (cut > 0), []
    found = screen(structures(), emt(asked), "emt", part)
    assert part.read_bytes() == content
    assert found.before == 9 - len(asked) - sum(name == "broken.cif" for name, _ in found.failures)
    assert found.before in (kept, kept + 1)


def test_a_killed_model_loses_at_most_the_part_in_hand(tmp_path):
    def dying(atoms):
        if any(one.get_chemical_formula() == "Pd" for one in atoms):
            raise KeyboardInterrupt
        return emt([])(atoms)

    with pytest.raises(KeyboardInterrupt):
        screen(structures(), dying, "emt", tmp_path / "t.csv")
    asked = []
    found = screen(structures(), emt(asked), "emt", tmp_path / "t.csv")
    assert found.before == 6 and asked == ["Pd", "Pt", "Fe"]
    assert list(rows(tmp_path / "t.csv")) == [one.name for one in structures()]


def test_another_table_is_refused(tmp_path):
    table = tmp_path / "t.csv"
    screen(structures(), emt([]), "emt", table)
    with pytest.raises(ScreeningError, match=r"holds answers of \['emt'\], this is 'other'.*--table"):
        screen(structures(), emt([]), "other", table)
    table.write_text("a,b\n1,2\n")
    with pytest.raises(ScreeningError, match="columns differ"):
        screen(structures(), emt([]), "emt", table)
    assert table.read_text() == "a,b\n1,2\n"
