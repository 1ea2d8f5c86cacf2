"""``mfal screen`` with CHGNet: the table agrees with the published code, and what cannot be answered is named."""

import csv

import pytest
from ase.build import bulk
from ase.io import write

from mfal.cli import main
from physics.mlip.chgnet import load


def rows(table):
    with table.open(newline="") as file:
        return {row["name"].rsplit("/", 1)[-1]: row for row in csv.DictReader(file)}


def test_a_folder_is_screened_and_the_broken_are_named(tmp_path, capsys):
    crystals = {"POSCAR-Cu": bulk("Cu", "fcc", 3.6), "POSCAR-NaCl": bulk("NaCl", "rocksalt", 5.6)}
    for name, atoms in crystals.items():
        write(tmp_path / name, atoms, format="vasp")
    write(tmp_path / "overlapping.xyz", bulk("Cu", "fcc", 0.5), format="extxyz")
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a oops\n")
    table = tmp_path / "out" / "t.csv"
    table.parent.mkdir()
    assert main(["screen", str(tmp_path), "--table", str(table)]) == 0
    said = capsys.readouterr().out
    assert "2 structures answered, 2 not, 0 there before" in said and "broken.cif: holds no structure" in said
    found = rows(table)
    energies = load().energies_ev_per_atom(list(crystals.values()))
    for name, energy in zip(crystals, energies, strict=True):
        assert float(found[name]["energy_ev_per_atom"]) == pytest.approx(energy, abs=1e-5)
    assert "angstrom apart" in found["overlapping.xyz"]["failure"]
    assert main(["screen", str(tmp_path), "--table", str(table)]) == 0
    assert "0 structures answered, 0 not, 4 there before" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere"], "nowhere does not exist"),
        (["POSCAR", "--weights", "9"], "--weights 9: CHGNet has no such weights; known: 0.2.0, 0.3.0, r2scan"),
        (["POSCAR", "--model", "other"], "name='other' is not registered in mfal.screens; known: ['chgnet']"),
    ],
)
def test_what_cannot_be_screened_is_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write("POSCAR", bulk("Cu"), format="vasp")
    assert main(["screen", *arguments]) == 1
    assert message in capsys.readouterr().err
