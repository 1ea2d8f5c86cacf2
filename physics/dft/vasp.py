"""Input files of VASP from the same settings, checked by reading them back; VASP itself is not run.

ASE's writer needs the licensed POTCAR files. Here INCAR, KPOINTS and POSCAR are written whole, and POTCAR.spec names
the data sets, one a line, that whoever has the licence puts together.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.errors import DFTError
from physics.dft.magnetism import starts
from physics.dft.mesh import kpoint_counts
from physics.dft.settings import DFTSettings, resolve

if TYPE_CHECKING:
    from ase import Atoms
    from pymatgen.core import Structure

FILES = ("INCAR", "KPOINTS", "POSCAR", "POTCAR.spec")
# LDA has data sets of its own; r2SCAN takes those of PBE with the exchange and correlation of METAGGA.
_FUNCTIONAL_TAGS = {"LDA": {}, "PBE": {"GGA": "PE"}, "r2SCAN": {"METAGGA": "R2SCAN", "LASPH": True}}
SAME_A = 1e-6
LEAST_CUTOFF_EV = 400.0  # VASP's data are harder than GPAW's protocols `fast` and `moderate` allow for


class VaspInputError(DFTError):
    """Files that do not say what was asked: names the file and the difference."""


def write_vasp_input(atoms: "Atoms", settings: DFTSettings, directory: Path) -> tuple[Path, ...]:
    """Write VASP's input of a single point and check it by reading it back.

    Args:
        atoms: crystal.
        settings: numerical settings; the cutoff is raised to `LEAST_CUTOFF_EV`.
        directory: made where it is lacking.

    Returns:
        The files, in the order of `FILES`.

    Raises:
        VaspInputError: what was read back is not what was asked.
    """
    from pymatgen.io.ase import AseAtomsAdaptor
    from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar

    ordered: Any = atoms[np.argsort(atoms.numbers, kind="stable")]  # pymatgen declares a class of its own
    structure: Structure = AseAtomsAdaptor.get_structure(ordered)
    directory.mkdir(parents=True, exist_ok=True)
    tags, mesh = incar_tags(ordered, settings), kpoint_counts(atoms, settings.k_length_a)
    Incar(tags).write_file(directory / "INCAR")
    Kpoints.gamma_automatic(mesh).write_file(str(directory / "KPOINTS"))
    Poscar(structure).write_file(str(directory / "POSCAR"), significant_figures=12)
    symbols = list(dict.fromkeys(ordered.symbols))
    (directory / "POTCAR.spec").write_text("".join(f"{symbol}\n" for symbol in symbols))
    _read_back(directory, tags, mesh, structure)
    return tuple(directory / name for name in FILES)


def incar_tags(atoms: "Atoms", settings: DFTSettings) -> dict[str, Any]:
    """Return INCAR's tags for atoms in the order of POSCAR."""
    start = starts(atoms, settings.spin)[0].moments_mub
    tags: dict[str, Any] = {
        "SYSTEM": f"{atoms.get_chemical_formula()} {settings.functional} {settings.name}",
        "PREC": "Accurate",
        "ENCUT": max(settings.cutoff_ev, LEAST_CUTOFF_EV),
        "EDIFF": 1e-6,
        "NELM": settings.max_iterations,
        "NSW": 0,
        "ISMEAR": -1 if settings.smearing_ev > 0 else -2,  # Fermi-Dirac, as GPAW; fixed occupations
        "SIGMA": settings.smearing_ev,
        "ISPIN": 1 if start is None else 2,
        "LWAVE": False,
        "LCHARG": False,
        **_FUNCTIONAL_TAGS[settings.functional],
    }
    return tags if start is None else tags | {"MAGMOM": start.tolist()}


def vasp_input_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a job: the text of VASP's input files by name, for ``structure``, ``protocol`` and ``functional``."""
    import tempfile

    from physics.prototypes import from_record

    atoms = from_record(spec["structure"])
    settings = resolve(spec["protocol"], spec.get("functional", "PBE"), atoms.symbols)
    with tempfile.TemporaryDirectory(prefix="vasp-") as directory:
        files = write_vasp_input(atoms, settings, Path(directory))
        return {path.name: path.read_text() for path in files}


def _read_back(directory: Path, tags: Mapping[str, Any], mesh: tuple[int, int, int], structure: "Structure") -> None:
    from pymatgen.io.vasp.inputs import Incar, Kpoints, Poscar

    incar = Incar.from_file(directory / "INCAR")
    wrong = {tag: (incar.get(tag), value) for tag, value in tags.items() if not _same(incar.get(tag), value)}
    if wrong:
        raise VaspInputError(f"INCAR says otherwise than asked, (found, asked): {wrong}")
    found = Kpoints.from_file(directory / "KPOINTS").kpts[0]
    if tuple(found) != mesh:
        raise VaspInputError(f"KPOINTS has the mesh {found}, asked was {mesh}")
    read = Poscar.from_file(directory / "POSCAR").structure
    if read.species != structure.species or not np.allclose(read.cart_coords, structure.cart_coords, atol=SAME_A):
        raise VaspInputError("POSCAR has other atoms than asked")


def _same(found: Any, asked: Any) -> bool:
    if isinstance(asked, list):
        return found is not None and np.allclose(np.array(found, float), asked)
    return str(found).upper() == str(asked).upper() if isinstance(asked, str) else found == asked
