"""Plane-wave density functional theory by GPAW (Mortensen et al., J. Chem. Phys. 160, 092503 (2024)), on one core."""

import itertools
import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.settings import SETTINGS, DFTSettings
from physics.prototypes import as_spglib, from_record, initial_moments

if TYPE_CHECKING:
    from ase import Atoms

REVISION = 1  # part of the content hash: raise it whenever this recipe's answers change
MESH_SLACK = 1.5
VOLUME_STRAINS = (-0.04, 0.04)  # of the volume, beside the given one

# Tried in turn until the cycle converges; the first is the quickest for metals.
_ATTEMPTS = (
    {"beta": 0.25, "nmaxold": 3, "weight": 1.0},
    {"beta": 0.05, "nmaxold": 5, "weight": 50.0},
)


def single_point(atoms: "Atoms", settings: DFTSettings) -> dict[str, Any]:
    """Calculate the energy of a structure.

    Spin-polarised only where `physics.prototypes.MAGNETIC_MOMENTS` names an element of it.

    Args:
        atoms: periodic structure, symmetric if symmetry is to be used.
        settings: numerical settings.

    Returns:
        JSON values: ``energy_ev_per_atom`` (extrapolated to zero smearing), ``moment_mub`` (whole cell), ``kpoints``,
        ``iterations``, ``attempts``, ``gpaw``, ``seconds``; or ``failure`` where no attempt converged.
    """
    from gpaw import KohnShamConvergenceError

    start, reasons = time.perf_counter(), []
    for attempt, mixing in enumerate(_ATTEMPTS, start=1):
        try:
            found = _converge(atoms, settings, mixing)
        except KohnShamConvergenceError as error:
            reasons.append(f"mixing {mixing}: {error}".strip())
            continue
        return found | {"attempts": attempt, "seconds": time.perf_counter() - start}
    seconds = time.perf_counter() - start
    formula = atoms.get_chemical_formula()
    return {
        "failure": f"{formula} did not converge in {settings.max_iterations} iterations: {reasons}",
        "seconds": seconds,
    }


def kpoint_counts(atoms: "Atoms", k_length_a: float) -> tuple[int, int, int]:
    """Choose a Gamma-centred mesh at least `k_length_a` times as fine as each reciprocal length (without 2 pi).

    The axes of a reduced cell need not be equivalent although symmetry mixes them, and a mesh that breaks a symmetry
    costs more than a finer one that keeps it: of the meshes up to `MESH_SLACK` finer the cheapest is taken.
    """
    import spglib

    least = np.ceil(np.round(k_length_a * atoms.cell.reciprocal().lengths(), 6)).astype(int)
    found = spglib.get_symmetry(as_spglib(atoms), 1e-3)
    identity = np.eye(3, dtype=int)
    rotations = np.unique(np.concatenate([found["rotations"], -found["rotations"]] if found else [[identity]]), axis=0)
    axes = [range(count, int(count * MESH_SLACK) + 1) for count in least]
    meshes = sorted(itertools.product(*axes), key=lambda mesh: (math.prod(mesh) / _kept(rotations, mesh), mesh))
    first, second, third = meshes[0]
    return first, second, third


def single_point_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: the energy of ``spec["structure"]`` with ``spec["settings"]``.

    With ``spec["relax_volume"]`` the structure is also calculated at `VOLUME_STRAINS`, and the energy is the lowest of
    the parabola through the volumes.
    """
    settings = DFTSettings(**spec["settings"]) if isinstance(spec["settings"], dict) else SETTINGS[spec["settings"]]
    atoms = from_record(spec["structure"])
    central = single_point(atoms, settings)
    if not spec.get("relax_volume") or "failure" in central:
        return central
    return _relax_volume(atoms, settings, central)


def _kept(rotations: np.ndarray, mesh: tuple[int, ...]) -> int:
    """Count the rotations that map a mesh onto itself."""
    counts = np.array(mesh)
    images = rotations.transpose(0, 2, 1) * counts[:, None] / counts[None, :]
    return int(np.isclose(images, np.round(images)).all(axis=(1, 2)).sum())


def _converge(atoms: "Atoms", settings: DFTSettings, mixing: dict[str, Any]) -> dict[str, Any]:
    from gpaw import GPAW, PW, __version__

    moments = initial_moments(atoms)
    working = atoms.copy()
    if moments is not None:
        working.set_initial_magnetic_moments(moments)
    kpoints = kpoint_counts(atoms, settings.k_length_a)
    calculator = GPAW(
        mode=PW(settings.cutoff_ev),
        xc=settings.functional,
        kpts={"size": kpoints, "gamma": True},
        occupations={"name": "fermi-dirac", "width": settings.smearing_ev},
        symmetry={"symmorphic": False},  # screws and glides too: Pnma has 8 operations, of which 2 lack translations
        spinpol=moments is not None,
        mixer={"backend": "pulay", "method": "difference" if moments is not None else "separate", **mixing},
        convergence={
            "density": settings.density_tolerance,
            "energy": settings.energy_tolerance_ev,
            "eigenstates": settings.eigenstate_tolerance_ev2,
        },
        maxiter=settings.max_iterations,
        txt=None,
    )
    working.calc = calculator
    energy = float(working.get_potential_energy())  # extrapolated to zero width
    return {
        "energy_ev_per_atom": energy / len(working),
        "moment_mub": float(calculator.get_magnetic_moment()) if moments is not None else 0.0,
        "kpoints": list(kpoints),
        "iterations": int(calculator.get_number_of_iterations()),
        "gpaw": __version__,
    }


def _relax_volume(atoms: "Atoms", settings: DFTSettings, central: dict[str, Any]) -> dict[str, Any]:
    volumes, energies, seconds = [1.0], [central["energy_ev_per_atom"]], central["seconds"]
    for strain in VOLUME_STRAINS:
        strained = atoms.copy()
        strained.set_cell(atoms.cell * (1 + strain) ** (1 / 3), scale_atoms=True)
        found = single_point(strained, settings)
        seconds += found["seconds"]
        if "failure" in found:
            return found | {"seconds": seconds}
        volumes.append(1 + strain)
        energies.append(found["energy_ev_per_atom"])
    curvature, slope, constant = np.polyfit(volumes, energies, 2)
    factor = (
        float(np.clip(-slope / (2 * curvature), 0.85, 1.15)) if curvature > 0 else volumes[int(np.argmin(energies))]
    )
    energy = float(curvature * factor**2 + slope * factor + constant)
    return central | {"energy_ev_per_atom": energy, "volume_factor": factor, "seconds": seconds}
