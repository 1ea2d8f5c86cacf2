"""``mfal screen``: tables agree with the potentials that fill them, and what cannot be answered is named."""

import csv
import re
import subprocess
import sys

import pytest
import torch
from ase import Atoms
from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read, write

from benchmarks.random_mace import random_mace
from mfal.cli import main
from physics.mlip.chgnet_potential import load_chgnet
from physics.mlip.mace import load_mace
from physics.mlip.mace_checkpoint import quietly
from physics.mlip.potential import Outcome, RelaxationSettings
from physics.prototypes import elemental_reference

EMT_ARGUMENTS = ("--model", "ase", "--weights", "ase.calculators.emt:EMT")


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
    assert re.search(r"2 structures answered, 2 failed, 0 there before, [\d.]+ structures/s: .*t\.csv\n", said)
    assert "broken.cif: holds no structure" in said and "overlapping.xyz: 'Cu' has atoms" in said
    found = rows(table)
    for (name, row), answer in zip(crystals.items(), load_chgnet().predict(list(crystals.values())), strict=True):
        assert float(found[name]["energy_ev_per_atom"]) == pytest.approx(answer.energy_ev_per_atom, abs=1e-5)
        assert len(row) == int(found[name]["atoms"])
    assert "angstrom apart" in found["overlapping.xyz"]["failure"]
    assert main(["screen", str(tmp_path), "--table", str(table)]) == 0
    assert "0 structures answered, 0 failed, 4 there before" in capsys.readouterr().out
    assert not table.with_suffix(".extxyz").exists()


@pytest.mark.slow
def test_relaxed_energies_and_the_hull_are_those_of_chgnet(tmp_path, capsys):
    """Hull by hand: Ni-Al and its high polymorph over the mean of the elements, lowest of those given and known."""
    crystals = {
        "b2.cif": Atoms("NiAl", scaled_positions=[[0, 0, 0], [0.5] * 3], cell=[3.0] * 3, pbc=True),
        "b1.cif": bulk("NiAl", "rocksalt", 5.0),
        "bcc.cif": bulk("Al", "bcc", 3.2),
    }
    for name, atoms in crystals.items():
        write(tmp_path / name, atoms, format="cif")
    table = tmp_path / "t.csv"
    assert main(["screen", str(tmp_path), "--relax", "--hull", "--fmax", "0.02", "--table", str(table)]) == 0
    said = capsys.readouterr().out
    assert "3 structures answered (3 converged, 0 not), 0 failed" in said
    assert "hull: 5 phases, energies of this model alone and uncorrected" in said and "t.extxyz" in said
    parts = [read(tmp_path / name) for name in crystals], [elemental_reference(symbol) for symbol in ("Al", "Ni")]
    ends = [end for part in parts for end in load_chgnet().relax(part, RelaxationSettings(0.02))]
    assert all(end.outcome == Outcome.CONVERGED for end in ends)
    expected = dict(zip([*crystals, "element:Al", "element:Ni"], ends, strict=True))
    found = rows(table)
    for name, end in expected.items():
        assert float(found[name]["energy_ev_per_atom"]) == pytest.approx(end.prediction.energy_ev_per_atom, abs=1e-4)
        volume = end.atoms.get_volume() / len(end.atoms)
        assert float(found[name]["volume_a3_per_atom"]) == pytest.approx(volume, rel=1e-3)
    energy = {name: float(row["energy_ev_per_atom"]) for name, row in found.items()}
    above = {name: float(row["energy_above_hull_ev_per_atom"]) for name, row in found.items()}
    assert above["b2.cif"] == above["element:Al"] == above["element:Ni"] == 0.0
    assert above["b1.cif"] == pytest.approx(energy["b1.cif"] - energy["b2.cif"], abs=1e-6)
    assert above["bcc.cif"] == pytest.approx(energy["bcc.cif"] - energy["element:Al"], abs=1e-6)
    assert found["b1.cif"]["decomposition"] == "1 AlNi" and found["bcc.cif"]["decomposition"] == "1 Al"
    frame = read(tmp_path / "t.extxyz", 0)
    assert frame.get_potential_energy() / 2 == pytest.approx(energy[frame.info["name"].rsplit("/", 1)[-1]], abs=1e-6)
    assert frame.get_magnetic_moments().shape == (2,)


def test_any_calculator_and_a_table_in_parquet(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write("metals.extxyz", [bulk("Cu"), bulk("Au"), bulk("Fe")], format="extxyz")
    write("reference.extxyz", bulk("Cu", "bcc", 2.9), format="extxyz")
    arguments = ["screen", "metals.extxyz", *EMT_ARGUMENTS, "--hull", "--references", "reference.extxyz"]
    assert main([*arguments, "--table", "t.parquet", "--structures-out", "answered.extxyz"]) == 0
    said = capsys.readouterr().out
    assert "metals.extxyz#2: EMT failed with NotImplementedError: No EMT-potential for Fe" in said
    import pandas as pd

    table = pd.read_parquet("t.parquet").set_index("name")
    copper = bulk("Cu")
    copper.calc = EMT()
    assert table["energy_ev_per_atom"]["metals.extxyz#0"] == pytest.approx(copper.get_potential_energy(), abs=1e-7)
    assert table["role"]["reference.extxyz"] == "reference" and table["role"]["element:Au"] == "element"
    assert table["energy_above_hull_ev_per_atom"]["reference.extxyz"] > 0
    assert [frame.info["name"] for frame in read("answered.extxyz", ":")][:2] == ["metals.extxyz#0", "metals.extxyz#1"]


def test_mace_checkpoints(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with quietly():
        torch.save(random_mace(5, channels=8, elements=(13, 29)), "small.model")
    write("metals.extxyz", [bulk("Cu"), bulk("Al")], format="extxyz")
    assert main(["screen", "metals.extxyz", "--model", "mace", "--weights", "small.model"]) == 0
    answers = load_mace("small.model").predict([bulk("Cu"), bulk("Al")])
    found = [float(row["energy_ev_per_atom"]) for row in rows(tmp_path / "screen.csv").values()]
    assert found == pytest.approx([answer.energy_ev_per_atom for answer in answers], abs=1e-5)
    monkeypatch.setattr("mfal.oracle.importlib.util.find_spec", lambda name: None if name == "mace" else name)
    assert main(["screen", "metals.extxyz", "--model", "mace", "--weights", "small.model"]) == 1
    assert "pip install 'mfal[mace]'" in capsys.readouterr().err


def test_an_interrupted_screen_says_how_it_goes_on(tmp_path, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("physics.mlip.ase_calculator.AsePotential.predict", interrupt)
    write("POSCAR", bulk("Cu"), format="vasp")
    assert main(["screen", "POSCAR", *EMT_ARGUMENTS]) == 130
    assert "the same command goes on from there" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere"], "nowhere does not exist"),
        (["POSCAR", "--weights", "9"], "--weights 9: CHGNet has no weights name='9'; known: ['0.2.0', '0.3.0', 'r2"),
        (["POSCAR", "--model", "other"], "name='other' is not registered in mfal.screens; known: ['ase', 'chgnet', 'm"),
        (["POSCAR", "--model", "mace"], "MACE needs --weights: the path of a checkpoint, or a name of MACE-MP"),
        (["POSCAR", "--model", "mace", "--weights", "x"], "--weights x: name='x' is neither a file nor a published"),
        (["POSCAR", "--model", "mace", "--weights", "POSCAR"], "--weights POSCAR: POSCAR cannot be read as a checkp"),
        (["POSCAR", "--model", "ase"], "--weights '' names no function: give module:function"),
        (["POSCAR", "--model", "ase", "--weights", "no_such:f"], "No module named 'no_such'; give module:function"),
        (["POSCAR", "--model", "ase", "--weights", "ase:none"], "module 'ase' has no attribute 'none'; give module:"),
        (["POSCAR", "--model", "ase", "--weights", ".x:y"], "--weights .x:y: "),
        (["POSCAR", "--model", "ase", "--weights", "ase:__version__"], "--weights ase:__version__ is a str: give mod"),
        (["POSCAR", "--fmax", "0.1"], "--fmax and --max-steps end relaxations: give --relax or --hull as well"),
        (["POSCAR", "--relax", "--fmax", "-1"], "--fmax -1.0: give a force above 0"),
        (["POSCAR", "--relax", "--fmax", "nan"], "--fmax nan: give a force above 0"),
        (["POSCAR", "--relax", "--max-steps", "0"], "--max-steps 0: give at least 1"),
        (["POSCAR", "--references", "POSCAR"], "--references are phases of a hull: give --hull as well"),
        (["POSCAR", "--structures-out", "POSCAR"], "POSCAR would be read and written"),
        (["POSCAR", "--table", "nowhere/t.csv"], "nowhere/t.csv cannot be used (No such file or directory)"),
    ],
)
def test_what_cannot_be_screened_is_refused(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    write("POSCAR", bulk("Cu"), format="vasp")
    assert main(["screen", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["POSCAR"]


def test_the_command_line_starts_without_what_only_a_screen_needs():
    script = (
        "import sys, mfal.cli; print(sorted({'ase', 'jax', 'numpy', 'pandas', 'rich', 'torch'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"
