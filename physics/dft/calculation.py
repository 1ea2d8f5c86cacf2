"""Plane-wave density functional theory by GPAW (Mortensen et al., J. Chem. Phys. 160, 092503 (2024)), on one core.

A calculation is tried by rule: other mixing, then more smearing, then given up; a spin-polarised one whose moment is
not believed also from a second start. A failure is an answer.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.magnetism import TOLERANCE_MUB, Start, collapsed, doubt, starts
from physics.dft.mesh import kpoint_counts
from physics.dft.refusals import refuse, valence_electrons
from physics.dft.settings import BUILT_IN, FUNCTIONALS, DFTSettings, require_functional
from physics.thermodynamics.deformation import unfit

if TYPE_CHECKING:
    from ase import Atoms

# Energies are relative to the spherical reference atoms of the PAW data: no crystal is further from them. The data are
# of PBE or LDA, so with another functional the offset is arbitrary.
EXPLODED_EV_PER_ATOM = 50.0
SPARE_BANDS = 2  # above the empty ones that are asked for: the uppermost converge slowly
WIDER = 2.0  # factor on the smearing of the last attempt

_FIRST = {"beta": 0.25, "nmaxold": 3, "weight": 1.0}
_CAREFUL = {"beta": 0.05, "nmaxold": 5, "weight": 50.0}
# Tried in turn until the cycle converges, mixing and factor on the smearing; the first is the quickest for metals.
_ATTEMPTS = ((_FIRST, 1.0), (_CAREFUL, 1.0), (_CAREFUL, WIDER))

Observe = Callable[[Any], dict[str, Any]]


def nothing_more(calculator: Any) -> dict[str, Any]:
    """Observe nothing but the energy and the moment."""
    return {}


@dataclass(frozen=True)
class Request:
    """What one single point is asked beside structure and settings.

    Attributes:
        kpoints: counts of the mesh; None chooses by `physics.dft.mesh.kpoint_counts`. Strained copies of a structure
            need the mesh of the structure, or the energy jumps where a count changes.
        moments_mub: stated start, one an atom; None starts by rule.
        expected_moment_mub: of the cell; another moment is a failure. None believes every moment.
        moment_tolerance_mub: allowed difference from the expected one.
        observe: further values from the converged calculator, JSON.
        empty_bands: to converge above the occupied ones; None leaves their number to GPAW and does not converge them.
    """

    kpoints: tuple[int, int, int] | None = None
    moments_mub: Sequence[float] | None = None
    expected_moment_mub: float | None = None
    moment_tolerance_mub: float = TOLERANCE_MUB
    observe: Observe = field(default=nothing_more, compare=False)
    empty_bands: int | None = None


DEFAULT = Request()


def single_point(atoms: "Atoms", settings: DFTSettings, request: Request = DEFAULT) -> dict[str, Any]:
    """Calculate the energy of a structure.

    Args:
        atoms: periodic structure, symmetric if symmetry is to be used.
        settings: numerical settings.
        request: what else is asked.

    Returns:
        JSON values: ``energy_ev_per_atom`` (extrapolated to zero smearing), ``moment_mub`` and
        ``absolute_moment_mub`` (whole cell), where polarised ``spin_starts`` (what each start gave) and
        ``moment_collapsed``, ``iterations``, ``attempts``, ``retries`` (why the earlier attempts failed),
        ``smearing_ev``, ``gpaw``; or ``failure``. Always ``settings`` and what the price depends on: ``seconds``,
        ``cores``, ``atoms``, ``electrons`` (valence; None without PAW data), ``kpoints`` (None where refused before).

    Raises:
        SettingsError: the stated moments do not fit the structure.
        MissingLibxcError: the functional needs libxc and GPAW was built without.
    """
    started = time.perf_counter()
    require_functional(settings.functional)
    tried = starts(atoms, settings.spin, request.moments_mub)
    reason = refuse(atoms, settings, tried[0].moments_mub is not None)
    kpoints = None if reason else request.kpoints or kpoint_counts(atoms, settings.k_length_a)
    found = {"failure": reason} if kpoints is None else _believed(atoms, settings, kpoints, tried, request)
    return found | _account(atoms, settings, kpoints, time.perf_counter() - started)


def unpaid(atoms: "Atoms", settings: DFTSettings, reason: str) -> dict[str, Any]:
    """Return the answer of a job that was refused before anything was calculated."""
    return {"failure": reason} | _account(atoms, settings, None, 0.0)


def on_mesh_of(atoms: "Atoms", settings: DFTSettings, request: Request) -> Request:
    """Return the request with the mesh of a structure, so that strained copies of it are calculated on the same one."""
    if request.kpoints is not None or unfit(atoms) is not None:
        return request
    return replace(request, kpoints=kpoint_counts(atoms, settings.k_length_a))


def forces_and_stress(calculator: Any) -> dict[str, Any]:
    """Observe ``forces_ev_per_a``, shape (atoms, 3), and ``stress_gpa``, shape (3, 3), positive where stretched."""
    from ase.stress import voigt_6_to_full_3x3_stress
    from ase.units import GPa

    stress = voigt_6_to_full_3x3_stress(calculator.get_stress(calculator.atoms)) / GPa
    return {"forces_ev_per_a": calculator.get_forces(calculator.atoms).tolist(), "stress_gpa": stress.tolist()}


def _account(
    atoms: "Atoms", settings: DFTSettings, kpoints: tuple[int, int, int] | None, seconds: float
) -> dict[str, Any]:
    """Return what every answer says, refused ones included: what it was, and what its price depends on."""
    return {
        "settings": settings.record(),
        "kpoints": None if kpoints is None else list(kpoints),
        "atoms": len(atoms),
        "electrons": valence_electrons(atoms, settings.functional),
        "cores": cores(),
        "seconds": seconds,
    }


def _believed(
    atoms: "Atoms", settings: DFTSettings, kpoints: tuple[int, int, int], tried: Sequence[Start], request: Request
) -> dict[str, Any]:
    """Try the starts until the moment of one is believed; where all collapse, the lowest energy is the answer."""
    ends: list[tuple[Start, dict[str, Any]]] = []
    doubts: list[str] = []
    for start in tried:
        found = _attempted(atoms, settings, kpoints, start, request)
        ends.append((start, found))
        if "failure" in found:
            break  # another start seldom cures what mixing and smearing did not
        reason = doubt(found, start, request.expected_moment_mub, request.moment_tolerance_mub)
        if reason is None:
            return _spin_reported(ends, found, start)
        doubts.append(reason)
    good = [(found["energy_ev_per_atom"], place) for place, (_, found) in enumerate(ends) if "failure" not in found]
    if good and request.expected_moment_mub is None:
        start, found = ends[min(good)[1]]
        return _spin_reported(ends, found, start)
    failure = ends[-1][1].get("failure") or f"{atoms.get_chemical_formula()}: wrong spin: {'; '.join(doubts)}"
    return {"failure": failure, "spin_starts": [_brief(*end) for end in ends]}


def _spin_reported(ends: Sequence[tuple[Start, dict[str, Any]]], found: dict[str, Any], start: Start) -> dict[str, Any]:
    if start.moments_mub is None:
        return found
    return found | {"moment_collapsed": collapsed(found, start), "spin_starts": [_brief(*end) for end in ends]}


def _brief(start: Start, found: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("energy_ev_per_atom", "moment_mub", "absolute_moment_mub", "failure")
    moments = None if start.moments_mub is None else start.moments_mub.tolist()
    return {"start": start.name, "start_moments_mub": moments} | {key: found[key] for key in kept if key in found}


def _attempted(
    atoms: "Atoms", settings: DFTSettings, kpoints: tuple[int, int, int], start: Start, request: Request
) -> dict[str, Any]:
    """Try mixings, then more smearing; all reasons are listed where it is given up."""
    from gpaw import ConvergenceError
    from gpaw.utilities import AtomsTooClose

    reasons: list[str] = []
    for attempt, (mixing, factor) in enumerate(_ATTEMPTS, start=1):
        width = settings.smearing_ev * factor
        label = f"mixing {mixing}, smearing {width:g} eV"
        if factor > 1 and width == 0:
            continue  # fixed occupations were asked for
        try:
            found = _converge(atoms, settings, kpoints, start, request, mixing, width)
        except ConvergenceError as error:
            reasons.append(f"{label}: {_text(error)}")
            continue
        except (np.linalg.LinAlgError, FloatingPointError, ZeroDivisionError, AtomsTooClose) as error:
            reasons.append(f"{label}: exploded: {_text(error)}")
            continue
        if (trouble := _exploded(found["energy_ev_per_atom"], settings.functional)) is not None:
            reasons.append(f"{label}: {trouble}")
            continue
        return found | {"attempts": attempt, "retries": reasons}
    formula = atoms.get_chemical_formula()
    return {"failure": f"{formula} did not converge in {settings.max_iterations} iterations: {reasons}"}


def _text(error: Exception) -> str:
    return str(error).strip() or type(error).__name__


def _exploded(energy_ev_per_atom: float, functional: str) -> str | None:
    if not math.isfinite(energy_ev_per_atom):
        return "exploded: the energy is not finite"
    if functional in BUILT_IN and abs(energy_ev_per_atom) > EXPLODED_EV_PER_ATOM:
        return f"exploded: {energy_ev_per_atom:.1f} eV/atom is beyond {EXPLODED_EV_PER_ATOM:g} of the reference atoms"
    return None


def _converge(
    atoms: "Atoms",
    settings: DFTSettings,
    kpoints: tuple[int, int, int],
    start: Start,
    request: Request,
    mixing: Mapping[str, Any],
    width_ev: float,
) -> dict[str, Any]:
    from gpaw import GPAW, PW, __version__

    polarised = start.moments_mub is not None
    working = atoms.copy()
    working.set_initial_magnetic_moments(start.moments_mub)
    parameters: dict[str, Any] = _parameters(settings, request, kpoints, polarised) | {
        "occupations": {"name": "fermi-dirac", "width": width_ev},
        "mixer": {"backend": "pulay", "method": "difference" if polarised else "separate", **mixing},
    }
    calculator: Any = GPAW(mode=PW(settings.cutoff_ev), txt=None, **parameters)
    working.calc = calculator
    energy = float(working.get_potential_energy())  # extrapolated to zero width
    local = calculator.get_magnetic_moments() if polarised else np.zeros(1)
    return {
        "energy_ev_per_atom": energy / len(working),
        "moment_mub": float(calculator.get_magnetic_moment()) if polarised else 0.0,
        "absolute_moment_mub": float(np.abs(local).sum()),
        "smearing_ev": width_ev,
        "iterations": int(calculator.get_number_of_iterations()),
        "gpaw": __version__,
        **request.observe(calculator),
    }


def _parameters(
    settings: DFTSettings, request: Request, kpoints: tuple[int, int, int], polarised: bool
) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "xc": FUNCTIONALS[settings.functional],
        "kpts": {"size": kpoints, "gamma": True},
        "symmetry": {"symmorphic": False},  # screws and glides too: Pnma has 8 operations, of which 2 lack translations
        "spinpol": polarised,
        "convergence": {
            "density": settings.density_tolerance,
            "energy": settings.energy_tolerance_ev,
            "eigenstates": settings.eigenstate_tolerance_ev2,
        },
        "maxiter": settings.max_iterations,
    }
    if request.empty_bands is not None:
        parameters["nbands"] = -(request.empty_bands + SPARE_BANDS)
        parameters["convergence"]["bands"] = -SPARE_BANDS
    return parameters


def cores() -> int:
    """Return the processes that calculate together."""
    from gpaw.mpi import world

    return int(world.size)
