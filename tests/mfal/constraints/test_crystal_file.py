"""Structures in files: read, judged, and refused with the file's name."""

import pytest

pytest.importorskip("pymatgen")
pytest.importorskip("spglib")

from pymatgen.core import Lattice, Structure

from mfal.cli import main
from mfal.constraints.crystal_file import file_verdict, is_structure
from mfal.errors import ConstraintError


def salt(edge=5.64):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(edge), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def written(tmp_path, structure, number=None):
    file = tmp_path / "salt.cif"
    structure.to(filename=str(file), symprec=None if number is None else 0.01)
    text = file.read_text()
    if number is not None:
        text = text.replace("_symmetry_Int_Tables_number   225", f"_symmetry_Int_Tables_number   {number}")
    file.write_text(text)
    return file


def test_salt_is_admitted_from_either_format(tmp_path, capsys):
    cif = written(tmp_path, salt(), 225)
    assert "225" in cif.read_text()
    salt().to(filename=str(tmp_path / "POSCAR"))
    assert file_verdict(cif).admits and file_verdict(tmp_path / "POSCAR").admits
    assert main(["check", str(cif), str(tmp_path / "POSCAR"), "NaCl"]) == 0
    assert capsys.readouterr().out.count("  admitted") == 3


def test_a_symmetry_that_is_stated_wrongly_is_refused(tmp_path, capsys):
    file = written(tmp_path, salt(), 166)
    assert main(["check", str(file)]) == 1
    assert "salt.cif  refused" in capsys.readouterr().out


def test_a_group_that_does_not_exist_is_refused(tmp_path):
    assert "231" in " ".join(file_verdict(written(tmp_path, salt(), 231)).reasons)


def test_atoms_too_close_are_refused(tmp_path):
    verdict = file_verdict(written(tmp_path, salt(2.6)))
    assert not verdict.admits
    assert "angstrom apart" in verdict.reasons[0]


def test_a_broken_file_is_refused_by_name(tmp_path):
    file = tmp_path / "broken.cif"
    file.write_text("data_\nnothing")
    with pytest.raises(ConstraintError, match=r"broken.cif"):
        file_verdict(file)
    assert main(["check", str(file)]) == 1


def test_files_are_told_by_their_names(tmp_path):
    assert all(is_structure(tmp_path / name) for name in ("a.cif", "POSCAR", "CONTCAR.gz", "b.vasp"))
    assert not is_structure(tmp_path / "formulas.txt")
