"""Structures out of every kind of file; what is broken is named and the rest is read."""

import json

import numpy as np
import pytest
from ase.build import bulk
from ase.db import connect
from ase.io import write
from pymatgen.core import Lattice, Structure

from physics.structures import Named, Unreadable, read_structures, structure_files

COPPER, SALT = bulk("Cu", "fcc", 3.6), bulk("NaCl", "rocksalt", 5.6)


def read(*places):
    return list(read_structures(structure_files(places)))


def same(atoms, other):
    """Require one crystal, up to how its cell is turned."""
    assert sorted(atoms.symbols) == sorted(other.symbols)
    assert atoms.get_volume() == pytest.approx(other.get_volume(), rel=1e-4)
    np.testing.assert_allclose(atoms.cell.cellpar(), other.cell.cellpar(), rtol=1e-4)
    assert atoms.calc is None and atoms.pbc.all()


@pytest.mark.parametrize("name", ["salt.cif", "POSCAR", "CONTCAR.relaxed", "salt.vasp", "salt.extxyz"])
def test_one_structure_a_file(tmp_path, name):
    file = tmp_path / name
    kind = {".cif": "cif", ".extxyz": "extxyz"}.get(file.suffix, "vasp")
    write(file, SALT, format=kind)
    (found,) = read(file)
    assert found.name == str(file)
    same(found.atoms, SALT)


def test_several_structures_a_file(tmp_path):
    write(tmp_path / "two.xyz", [COPPER, SALT], format="extxyz")
    with connect(tmp_path / "two.db") as database:
        database.write(COPPER)
        database.write(SALT)
    crystals = [Structure(Lattice.cubic(3.0 + n), ["Po"], [[0, 0, 0]]).as_dict() for n in range(2)]
    (tmp_path / "list.json").write_text(json.dumps(crystals))
    (tmp_path / "named.json").write_text(json.dumps({"polonium": crystals[0]}))
    (tmp_path / "one.json").write_text(json.dumps(crystals[1]))
    found = {one.name.removeprefix(f"{tmp_path}/"): one.atoms for one in read(tmp_path)}
    assert set(found) == {"list.json#0", "list.json#1", "named.json#polonium", "one.json",
                          "two.db#1", "two.db#2", "two.xyz#0", "two.xyz#1"}  # fmt: skip
    same(found["two.db#2"], SALT)
    same(found["two.xyz#0"], COPPER)
    assert found["list.json#1"].get_volume() == pytest.approx(64.0)


def optimade(species):
    attributes = {
        "lattice_vectors": (4.0 * np.eye(3)).tolist(),
        "cartesian_site_positions": [[0, 0, 0], [2, 2, 2]],
        "species_at_sites": ["A", "Cl"],
        "species": [species, {"name": "Cl", "chemical_symbols": ["Cl"], "concentration": [1.0]}],
    }
    return {"type": "structures", "attributes": attributes}


def test_optimade_answers(tmp_path):
    caesium = {"name": "A", "chemical_symbols": ["Cs"], "concentration": [1.0]}
    shared = {"name": "A", "chemical_symbols": ["Cs", "Rb"], "concentration": [0.5, 0.5]}
    data = [{"id": "first", **optimade(caesium)}, {"id": "second", **optimade(shared)}]
    (tmp_path / "answer.json").write_text(json.dumps({"data": data}))
    first, second = read(tmp_path)
    assert isinstance(first, Named) and first.name.endswith("answer.json#first")
    assert first.atoms.get_chemical_formula() == "ClCs" and first.atoms.get_volume() == pytest.approx(64.0)
    assert isinstance(second, Unreadable) and second.name.endswith("#second")


@pytest.mark.parametrize(
    "name, content",
    [
        ("broken.cif", "data_x\n_cell_length_a oops\n"),
        ("empty.cif", ""),
        ("cut.vasp", "salt\n1.0\n1 0 0\n"),
        ("broken.json", "{"),
        ("other.json", '{"a": 1}'),
        ("number.json", "3"),
        ("empty.extxyz", ""),
        ("notes.txt", "nothing"),
    ],
)
def test_what_is_broken_is_named_and_the_rest_is_read(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    write(tmp_path / "POSCAR", COPPER, format="vasp")
    broken, whole = read(tmp_path / name, tmp_path / "POSCAR")
    assert isinstance(broken, Unreadable) and broken.name == str(tmp_path / name) and broken.reason
    same(whole.atoms, COPPER)


def test_entries_of_one_label_are_told_apart(tmp_path):
    data = [{"id": "same", **optimade({"name": "A", "chemical_symbols": [symbol]})} for symbol in ("Cs", "Rb")]
    (tmp_path / "answer.json").write_text(json.dumps({"data": data}))
    assert [one.name.rsplit("#")[1] for one in read(tmp_path)] == ["0", "1"]


def test_a_name_that_no_table_can_hold_is_reported(tmp_path):
    write(tmp_path / "POSCAR", COPPER, format="vasp")
    (tmp_path / "POSCAR").rename(tmp_path / "POSCAR\n1")
    (found,) = read(tmp_path)
    assert isinstance(found, Unreadable) and "rename" in found.reason and "\\n" in found.name


def test_what_is_written_is_not_read(tmp_path, monkeypatch):
    output = tmp_path / "out.extxyz"
    for name in ("out.extxyz", "in.extxyz"):
        write(tmp_path / name, COPPER, format="extxyz")
    assert structure_files([tmp_path], output) == [tmp_path / "in.extxyz"]
    monkeypatch.chdir(tmp_path)
    assert [file.name for file in structure_files([tmp_path], type(tmp_path)("out.extxyz"))] == ["in.extxyz"]
    with pytest.raises(ValueError, match=r"out.extxyz would be read and written"):
        structure_files([output], output)


def test_a_file_is_read_once_and_a_place_must_exist(tmp_path):
    write(tmp_path / "POSCAR", COPPER, format="vasp")
    (tmp_path / "notes.txt").write_text("not among the structures of a folder")
    assert len(read(tmp_path, tmp_path / "POSCAR")) == 1
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        read(tmp_path / "nowhere")
