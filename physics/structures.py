"""Structures out of files: CIF, POSCAR, extended XYZ, ASE databases, pymatgen JSON and OPTIMADE JSON.

What cannot be read is an answer too: it is named, and the rest goes on. Formats that could execute what they carry are
not among them.
"""

import json
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase import Atoms

# Suffix, or start of the name, of each format and what ASE calls it; JSON and databases are looked at below.
SUFFIXES = {".cif": "cif", ".vasp": "vasp", ".poscar": "vasp", ".xyz": "extxyz", ".extxyz": "extxyz"}
NAMES = {"POSCAR": "vasp", "CONTCAR": "vasp"}


@dataclass(frozen=True)
class Named:
    """A structure.

    Attributes:
        name: file, and the place in it where it holds several.
        atoms: without calculator.
    """

    name: str
    atoms: "Atoms"


@dataclass(frozen=True)
class Unreadable:
    """What could not be read.

    Attributes:
        name: as of `Named`.
        reason: in a sentence.
    """

    name: str
    reason: str


def structure_files(places: Sequence[Path], output: Path | None = None) -> list[Path]:
    """Return the files to read: those given, and of each folder all that have a known name, sorted.

    Args:
        places: files and folders.
        output: file to be written, which is left out of folders.

    Raises:
        FileNotFoundError: a place does not exist.
        ValueError: the output is to be read.
    """
    files: list[Path] = []
    written = None if output is None else output.resolve()
    for place in places:
        if not place.exists():
            raise FileNotFoundError(f"{place} does not exist")
        if place.resolve() == written:
            raise ValueError(f"{place} would be read and written; write to another file")
        inside = sorted(file for file in place.rglob("*") if _format(file)) if place.is_dir() else [place]
        files += [file for file in inside if written is None or file.name != written.name or file.resolve() != written]
    return list(dict.fromkeys(files))


def read_structures(files: Sequence[Path]) -> Iterator[Named | Unreadable]:
    """Read every structure of every file, one after the other."""
    for file in files:
        if not str(file).isprintable():
            yield Unreadable(ascii(str(file)), "its name has characters that no table can hold; rename it")
            continue
        try:
            yield from _read(file)
        except Exception as error:  # readers raise whatever a broken file makes them; the other files are fine
            yield Unreadable(str(file), f"cannot be read: {type(error).__name__}: {error}")


def _format(file: Path) -> str | None:
    by_name = next((form for start, form in NAMES.items() if file.name.startswith(start)), None)
    known = SUFFIXES | {".json": "json", ".db": "db"}
    return (by_name or known.get(file.suffix.lower())) if file.is_file() else None


def _read(file: Path) -> Iterator[Named | Unreadable]:
    form = _format(file)
    if form is None:
        yield Unreadable(str(file), f"unknown kind of file; known: {sorted(SUFFIXES)}, .json, .db, POSCAR*, CONTCAR*")
    elif form == "json":
        yield from _from_json(file)
    elif form == "db":
        yield from _from_database(file)
    else:
        yield from _from_ase(file, form)


def _from_ase(file: Path, form: str) -> Iterator[Named | Unreadable]:
    from ase.io import read

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about spellings of space groups and the like
        found: Any = read(file, index=":", format=form)
    if not found:
        yield Unreadable(str(file), "holds no structure")
    for number, atoms in enumerate(found):
        atoms.calc = None
        yield Named(_place(file, number, len(found)), atoms)


def _from_database(file: Path) -> Iterator[Named | Unreadable]:
    from ase.db import connect

    for row in connect(file).select():
        atoms = row.toatoms()
        atoms.calc = None
        yield Named(f"{file}#{row.id}", atoms)


def _from_json(file: Path) -> Iterator[Named | Unreadable]:
    """Read pymatgen's structures, OPTIMADE's answers or an ASE database."""
    content = json.loads(file.read_text(encoding="utf-8"))
    if isinstance(content, dict) and "ids" in content:
        yield from _from_database(file)
        return
    entries = _entries(content)
    if len(dict(entries)) < len(entries) or not "".join(label for label, _ in entries).isprintable():
        entries = [(str(number), entry) for number, (_, entry) in enumerate(entries)]
    if not entries:
        yield Unreadable(str(file), "holds no structure of pymatgen, OPTIMADE or ASE")
    for label, entry in entries:
        name = f"{file}#{label}" if label else str(file)
        try:
            yield Named(name, _atoms(entry))
        except Exception as error:  # as above, one entry
            yield Unreadable(name, f"cannot be read: {type(error).__name__}: {error}")


def _entries(content: Any) -> list[tuple[str, dict[str, Any]]]:
    """Return the structures of a JSON document with a label each; empty if there is but one."""
    if isinstance(content, dict) and _is_structure(content):
        return [("", content)]
    if isinstance(content, dict) and "data" in content:
        data = content["data"] if isinstance(content["data"], list) else [content["data"]]
        return [(str(entry.get("id", number)), entry) for number, entry in enumerate(data) if _is_structure(entry)]
    numbered = content.items() if isinstance(content, dict) else enumerate(content)
    return [(str(label), entry) for label, entry in numbered if _is_structure(entry)]


def _is_structure(entry: Any) -> bool:
    return isinstance(entry, dict) and ("lattice" in entry or "lattice_vectors" in entry.get("attributes", {}))


def _atoms(entry: dict[str, Any]) -> "Atoms":
    return _from_pymatgen(entry) if "lattice" in entry else _from_optimade(entry["attributes"])


def _from_pymatgen(entry: dict[str, Any]) -> "Atoms":
    from ase import Atoms
    from pymatgen.core import Structure
    from pymatgen.io.ase import AseAtomsAdaptor

    structure = Structure.from_dict(entry)
    if not structure.is_ordered:
        raise ValueError(_SHARED)
    # Without the oxidation states and magnetic moments that sites may carry.
    return Atoms(AseAtomsAdaptor.get_atoms(structure, msonable=False))


def _from_optimade(attributes: dict[str, Any]) -> "Atoms":
    """Return a structure of the OPTIMADE specification, version 1: its section 'structures entries'."""
    from ase import Atoms

    species = {one["name"]: one["chemical_symbols"] for one in attributes["species"]}
    if any(len(symbols) != 1 or symbols[0] in ("vacancy", "X") for symbols in species.values()):
        raise ValueError(_SHARED)
    symbols = [species[site][0] for site in attributes["species_at_sites"]]
    periodic = attributes.get("dimension_types", [1, 1, 1])
    return Atoms(symbols, attributes["cartesian_site_positions"], cell=attributes["lattice_vectors"], pbc=periodic)


_SHARED = "sites are shared by several elements or not always taken; order it first"


def _place(file: Path, number: int, count: int) -> str:
    return str(file) if count == 1 else f"{file}#{number}"
