"""Other codes through ASE's calculators, by a name from a fixed list and options that are JSON.

No option names a program or a command: the programs are those of the list, found on the PATH.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.errors import CalculatorError
from physics.prototypes import from_record
from physics.thermodynamics.deformation import unfit

if TYPE_CHECKING:
    from ase import Atoms

Make = Callable[[Mapping[str, Any], str], Any]
SAID_LINES = 6  # of a program's last words


@dataclass(frozen=True)
class Code:
    """A code that may be run.

    Attributes:
        make: builds ASE's calculator from options and a directory.
        options: names of the options that it takes.
        needed: those that it cannot do without.
        program: looked for on the PATH; None where ASE itself calculates.
        output: file in the directory that has the program's last words.
        data: option that maps elements to files in ``pseudo_dir``; None where the code finds its data itself.
        moment: expression whose last match in the output is the moment of the cell; None where ASE reads it.
    """

    make: Make
    options: tuple[str, ...]
    needed: tuple[str, ...] = ()
    program: str | None = None
    output: str | None = None
    data: str | None = None
    moment: str | None = None


def ase_single_point_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: the energy of ``spec["structure"]`` by another code.

    Args:
        spec: ``structure``, ``calculator`` (key of `CODES`), ``options`` (JSON, as the code's entry in `CODES` lists
            them) and optionally ``moments_mub`` (start, one an atom).

    Returns:
        The JSON values of `physics.dft.calculation.single_point` that the code knows: ``energy_ev_per_atom``,
        ``forces_ev_per_a`` and ``stress_gpa`` where its options made it calculate them, ``moment_mub``, ``settings``
        (calculator and options but ``kpts``), ``kpoints``, ``atoms``, ``electrons`` (None: unknown), ``cores``,
        ``seconds``; or ``failure``.

    Raises:
        CalculatorError: the code is not allowed or not installed, an option is unknown or lacking, or a file of its
            data is not there.
    """
    code = checked(spec["calculator"], spec.get("options", {}))
    started, atoms, options = time.perf_counter(), from_record(spec["structure"]), spec.get("options", {})
    atoms.set_initial_magnetic_moments(spec.get("moments_mub"))
    reason = _refused(atoms, code, options)
    found = _calculated(atoms, code, options) if reason is None else {"failure": reason}
    comparable = {key: value for key, value in options.items() if key != "kpts"}
    return found | {
        "settings": {"calculator": spec["calculator"], "options": comparable},
        "kpoints": list(options["kpts"]) if "kpts" in options else None,
        "atoms": len(atoms),
        "electrons": None,
        "cores": 1,
        "seconds": time.perf_counter() - started,
    }


def checked(name: str, options: Mapping[str, Any]) -> Code:
    """Return the code of a name whose options are in order.

    Raises:
        CalculatorError: the code is not allowed or not installed, an option is unknown or lacking, or a file of its
            data is not there.
    """
    if name not in CODES:
        raise CalculatorError(f"calculator={name!r} is not allowed; use one of {sorted(CODES)}")
    code = CODES[name]
    unknown, lacking = sorted(set(options) - set(code.options)), sorted(set(code.needed) - set(options))
    if unknown or lacking:
        raise CalculatorError(f"calculator={name!r}: {unknown=}, {lacking=}; it takes {sorted(code.options)}")
    if code.program is not None and shutil.which(code.program) is None:
        raise CalculatorError(f"calculator={name!r}: program {code.program!r} is not on the PATH; install it")
    absent = [str(path) for path in _files(code, options).values() if not path.is_file()]
    if absent:
        raise CalculatorError(f"calculator={name!r}: {absent} are not there; correct {code.data!r} or 'pseudo_dir'")
    return code


def version_of(code: Code) -> str:
    """Return the version of the program, as it says at its start, or of ASE where that calculates."""
    if code.program is None:
        from ase import __version__

        return __version__
    with tempfile.TemporaryDirectory(prefix="dft-") as directory:  # pw.x leaves a file where it is asked
        run = [code.program, "--version"]
        told = subprocess.run(run, cwd=directory, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    found = re.search(r"\d+\.\d[\w.]*", told.stdout)
    return found.group() if found else "unknown"


def without_data(code: Code, options: Mapping[str, Any], symbols: Iterable[str]) -> list[str]:
    """Return the elements for which the options name no data; none where the code finds its data itself."""
    return [] if code.data is None else sorted(set(symbols) - set(options[code.data]))


def digests(code: Code, options: Mapping[str, Any]) -> dict[str, str]:
    """Return SHA-256 of each element's data file: another file under the same name is another calculation."""
    return {symbol: hashlib.sha256(path.read_bytes()).hexdigest() for symbol, path in _files(code, options).items()}


def _files(code: Code, options: Mapping[str, Any]) -> dict[str, Path]:
    if code.data is None:
        return {}
    if not isinstance(options[code.data], Mapping):
        raise CalculatorError(f"{code.data}={options[code.data]!r}: use a table of files by element, as Si = 'Si.UPF'")
    return {symbol: Path(options["pseudo_dir"]) / str(name) for symbol, name in options[code.data].items()}


def _refused(atoms: "Atoms", code: Code, options: Mapping[str, Any]) -> str | None:
    if (crystal := unfit(atoms)) is not None:
        return crystal.reason
    lacking = without_data(code, options, atoms.symbols)
    if not lacking:
        return None
    formula = atoms.get_chemical_formula()
    return f"{formula}: options[{code.data!r}] names no file for {lacking}; add one, or leave out compounds of them"


def _calculated(atoms: "Atoms", code: Code, options: Mapping[str, Any]) -> dict[str, Any]:
    working = atoms.copy()
    with tempfile.TemporaryDirectory(prefix="dft-") as directory:
        try:
            working.calc = code.make(options, directory)
            return _observed(working) | _moment(working, code, _written(Path(directory), code))
        except Exception as error:  # a foreign program fails in ways of its own
            formula, said = atoms.get_chemical_formula(), _last_words(_written(Path(directory), code))
            return {"failure": f"{formula}: the calculation failed with {type(error).__name__}: {error}{said}"}


def _written(directory: Path, code: Code) -> str:
    """Return the program's output; empty without one."""
    path = directory / (code.output or "")
    return path.read_text(errors="replace") if path.is_file() else ""


def _last_words(output: str) -> str:
    lines = [said for line in output.splitlines() if (said := line.strip(" %=-"))]
    telling = [line for line in lines if "not achieved" in line.lower()]  # pw.x says it long before its end
    return f": {' | '.join([*telling, *lines[-SAID_LINES:]])}" if lines else ""


def _observed(atoms: "Atoms") -> dict[str, Any]:
    """Return what one run has left: asking ASE for what the program did not calculate would run it again."""
    energy = float(atoms.get_potential_energy())
    if not np.isfinite(energy):
        return {"failure": f"{atoms.get_chemical_formula()}: exploded: the energy is not finite"}
    results: Mapping[str, Any] = atoms.calc.results  # pyright: ignore[reportOptionalMemberAccess]
    return {"energy_ev_per_atom": energy / len(atoms), **_vectors(results)}


def _moment(atoms: "Atoms", code: Code, output: str) -> dict[str, float | None]:
    """Return the moment of the cell; ASE reads the atoms' moments of an older pw.x as zeros."""
    if code.moment is None:
        found = atoms.calc.results.get("magmom")  # pyright: ignore[reportOptionalMemberAccess]
    else:
        found = (re.findall(code.moment, output) or [None])[-1]
    return {"moment_mub": None if found is None else float(found)}


def _vectors(results: Mapping[str, Any]) -> dict[str, Any]:
    from ase.stress import voigt_6_to_full_3x3_stress
    from ase.units import GPa

    found: dict[str, Any] = {}
    if results.get("forces") is not None:
        found["forces_ev_per_a"] = np.array(results["forces"], float).tolist()
    if results.get("stress") is not None:
        found["stress_gpa"] = (voigt_6_to_full_3x3_stress(np.array(results["stress"], float)) / GPa).tolist()
    return found


def _emt(options: Mapping[str, Any], directory: str) -> Any:
    from ase.calculators.emt import EMT

    return EMT(**options)


def _espresso(options: Mapping[str, Any], directory: str) -> Any:
    from ase.calculators.espresso import Espresso, EspressoProfile

    given = dict(options)
    profile = EspressoProfile(command=_bound("pw.x"), pseudo_dir=given.pop("pseudo_dir"))
    return Espresso(profile=profile, directory=directory, **_with_tuples(given))


def _abinit(options: Mapping[str, Any], directory: str) -> Any:
    from ase.calculators.abinit import Abinit, AbinitProfile

    given = dict(options)
    profile = AbinitProfile(command=_bound("abinit"), pp_paths=given.pop("pp_paths"))
    return Abinit(profile=profile, directory=directory, **_with_tuples(given))


def _bound(program: str) -> str:
    """Return the command of a program that ends with its job: a killed one would go on unseen and be computed twice."""
    return f"setpriv --pdeathsig KILL {program}" if shutil.which("setpriv") else program


def _with_tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if key in ("kpts", "koffset") else value for key, value in options.items()}


CODES = {
    "emt": Code(_emt, ("asap_cutoff", "fixed_cutoff")),  # no density functional: for tests
    "espresso": Code(
        _espresso,
        ("input_data", "kpts", "koffset", "pseudo_dir", "pseudopotentials"),
        ("kpts", "pseudo_dir", "pseudopotentials"),
        "pw.x",
        "espresso.pwo",
        "pseudopotentials",
        r"total magnetization +=\s+(-?[\d.]+) Bohr",
    ),
    "abinit": Code(
        _abinit,
        ("ecut", "ixc", "kpts", "nband", "nsppol", "nstep", "occopt", "pp_paths", "pps", "toldfe", "tsmear", "xc"),
        ("ecut", "kpts", "pp_paths"),
        "abinit",
        "abinit.log",
    ),
}
