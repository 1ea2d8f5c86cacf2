"""Crystal structures in files, and what a CIF says of its own symmetry."""

import re
import warnings
from pathlib import Path

from mfal.constraints.crystal import Crystal
from mfal.constraints.structure import SENSIBLE, Limits, structure_verdict
from mfal.constraints.symmetry import SymmetryStatement
from mfal.constraints.verdict import Verdict
from mfal.errors import ConstraintError, MissingExtraError

SUFFIXES = (".cif", ".vasp", ".poscar", ".contcar", ".xsf", ".cssr")
NAMES = ("POSCAR", "CONTCAR")
_NUMBER = re.compile(r"^\s*_(?:symmetry_Int_Tables_number|space_group_IT_number)\s+'?(-?\d+)", re.MULTILINE)


def is_structure(path: Path) -> bool:
    """Tell whether a file holds a crystal structure, by its name."""
    return path.suffix.lower() in SUFFIXES or path.name.split(".")[0] in NAMES


def file_verdict(path: Path, limits: Limits = SENSIBLE) -> Verdict:
    """Say whether the crystal in a file can exist, with the symmetry that the file states, if it states one.

    Raises:
        ConstraintError: the file cannot be read, or is no ordered crystal.
        MissingExtraError: pymatgen or spglib is not installed.
    """
    return structure_verdict(file_crystal(path), _stated(path), limits)


def file_crystal(path: Path) -> Crystal:
    """Read the crystal in a file.

    Raises:
        ConstraintError: the file cannot be read, or is no ordered crystal.
        MissingExtraError: pymatgen is not installed.
    """
    try:
        from pymatgen.core import Structure
    except ImportError as error:
        raise MissingExtraError("pymatgen", "mlip") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what parsers find odd is judged below
            structure = Structure.from_file(path)
    except Exception as error:  # whatever pymatgen's parsers meet in a broken file
        raise ConstraintError(f"{path} holds no structure that can be read ({error}): write CIF or POSCAR") from error
    return Crystal.of(structure)


def _stated(path: Path) -> SymmetryStatement | None:
    if path.suffix.lower() != ".cif":
        return None
    number = _NUMBER.search(path.read_text(encoding="utf-8", errors="replace"))
    return None if number is None else SymmetryStatement(int(number.group(1)))
