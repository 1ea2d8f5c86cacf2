"""Other codes through ASE's calculators, by a name from a fixed list and options that are JSON.

No option names a program or a command: the programs are those of the list, found on the PATH.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.errors import CalculatorError
from physics.prototypes import from_record
from physics.thermodynamics.deformation import unfit

if TYPE_CHECKING:
    from ase import Atoms

Make = Callable[[Mapping[str, Any], str], Any]


@dataclass(frozen=True)
class Code:
    """A code that may be run.

    Attributes:
        make: builds ASE's calculator from options and a directory.
        options: names of the options that it takes.
        needed: those that it cannot do without.
        program: looked for on the PATH; None where ASE itself calculates.
    """

    make: Make
    options: tuple[str, ...]
    needed: tuple[str, ...] = ()
    program: str | None = None


def ase_single_point_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: the energy of ``spec["structure"]`` by another code.

    Args:
        spec: ``structure``, ``calculator`` (key of `CODES`), ``options`` (JSON, as the code's entry in `CODES` lists
            them).

    Returns:
        The JSON values of `physics.dft.calculation.single_point` that the code knows: ``energy_ev_per_atom``,
        ``forces_ev_per_a`` and ``stress_gpa`` where it has them, ``moment_mub``, ``settings`` (calculator and
        options), ``kpoints``, ``atoms``, ``electrons`` (None: unknown), ``cores``, ``seconds``; or ``failure``.

    Raises:
        CalculatorError: the code is not allowed or not installed, or an option is unknown or lacking.
    """
    code = checked(spec["calculator"], spec.get("options", {}))
    started, atoms, options = time.perf_counter(), from_record(spec["structure"]), spec.get("options", {})
    refusal = unfit(atoms)
    found = _calculated(atoms, code, options) if refusal is None else {"failure": refusal.reason}
    return found | {
        "settings": {"calculator": spec["calculator"], "options": dict(options)},
        "kpoints": list(options["kpts"]) if "kpts" in options else None,
        "atoms": len(atoms),
        "electrons": None,
        "cores": 1,
        "seconds": time.perf_counter() - started,
    }


def checked(name: str, options: Mapping[str, Any]) -> Code:
    """Return the code of a name whose options are in order.

    Raises:
        CalculatorError: the code is not allowed or not installed, or an option is unknown or lacking.
    """
    if name not in CODES:
        raise CalculatorError(f"calculator={name!r} is not allowed; use one of {sorted(CODES)}")
    code = CODES[name]
    unknown, lacking = sorted(set(options) - set(code.options)), sorted(set(code.needed) - set(options))
    if unknown or lacking:
        raise CalculatorError(f"calculator={name!r}: {unknown=}, {lacking=}; it takes {sorted(code.options)}")
    if code.program is not None and shutil.which(code.program) is None:
        raise CalculatorError(f"calculator={name!r}: program {code.program!r} is not on the PATH; install it")
    return code


def _calculated(atoms: "Atoms", code: Code, options: Mapping[str, Any]) -> dict[str, Any]:
    working = atoms.copy()
    with tempfile.TemporaryDirectory(prefix="dft-") as directory:
        try:
            working.calc = code.make(options, directory)
            return _observed(working)
        except Exception as error:  # a foreign program fails in ways of its own
            formula = atoms.get_chemical_formula()
            return {"failure": f"{formula}: the calculation failed with {type(error).__name__}: {error}"}


def _observed(atoms: "Atoms") -> dict[str, Any]:
    energy = float(atoms.get_potential_energy())
    if not np.isfinite(energy):
        return {"failure": f"{atoms.get_chemical_formula()}: exploded: the energy is not finite"}
    return {"energy_ev_per_atom": energy / len(atoms), "moment_mub": _moment(atoms), **_vectors(atoms)}


def _moment(atoms: "Atoms") -> float | None:
    from ase.calculators.calculator import PropertyNotImplementedError

    try:
        return float(atoms.get_magnetic_moment())
    except (PropertyNotImplementedError, NotImplementedError):
        return None


def _vectors(atoms: "Atoms") -> dict[str, Any]:
    from ase.calculators.calculator import PropertyNotImplementedError
    from ase.units import GPa

    asked: dict[str, Callable[[], np.ndarray]] = {
        "forces_ev_per_a": atoms.get_forces,
        "stress_gpa": lambda: np.array(atoms.get_stress(voigt=False)) / GPa,  # pyright: ignore[reportCallIssue]
    }
    found: dict[str, Any] = {}
    for name, get in asked.items():
        try:
            found[name] = np.array(get(), float).tolist()
        except (PropertyNotImplementedError, NotImplementedError):
            continue
    return found


def _emt(options: Mapping[str, Any], directory: str) -> Any:
    from ase.calculators.emt import EMT

    return EMT(**options)


def _espresso(options: Mapping[str, Any], directory: str) -> Any:
    from ase.calculators.espresso import Espresso, EspressoProfile

    given = dict(options)
    profile = EspressoProfile(command="pw.x", pseudo_dir=given.pop("pseudo_dir"))
    return Espresso(profile=profile, directory=directory, **_with_tuples(given))


def _abinit(options: Mapping[str, Any], directory: str) -> Any:
    from ase.calculators.abinit import Abinit, AbinitProfile

    given = dict(options)
    profile = AbinitProfile(command="abinit", pp_paths=given.pop("pp_paths"))
    return Abinit(profile=profile, directory=directory, **_with_tuples(given))


def _with_tuples(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if key in ("kpts", "koffset") else value for key, value in options.items()}


CODES = {
    "emt": Code(_emt, ("asap_cutoff", "fixed_cutoff")),  # no density functional: for tests
    "espresso": Code(
        _espresso,
        ("input_data", "kpts", "koffset", "pseudo_dir", "pseudopotentials"),
        ("kpts", "pseudo_dir", "pseudopotentials"),
        "pw.x",
    ),
    "abinit": Code(
        _abinit,
        ("ecut", "ixc", "kpts", "nband", "nsppol", "nstep", "occopt", "pp_paths", "pps", "toldfe", "tsmear", "xc"),
        ("ecut", "kpts", "pp_paths"),
        "abinit",
    ),
}
