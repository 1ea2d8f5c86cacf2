"""The job of relaxing a cell by its stress."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.account import together
from physics.dft.calculation import on_mesh_of, unpaid
from physics.dft.gpaw import request_of
from physics.dft.potential import GpawPotential
from physics.dft.pulay import corrected
from physics.dft.settings import WITH_STRESS, settings_of
from physics.mlip.potential import Outcome, Refusal, Relaxation, RelaxationSettings
from physics.prototypes import as_record, from_record
from physics.thermodynamics.deformation import unfit

if TYPE_CHECKING:
    from ase import Atoms

LIMITS = RelaxationSettings(fmax_ev_per_a=0.02, max_steps=40, moves_cell=True)


def cell_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: ``spec["structure"]`` relaxed, cell and positions, by forces and stress.

    The mesh of k-points is that of the start, and the stress is corrected for the basis (`physics.dft.pulay`).

    Args:
        spec: as of `physics.dft.gpaw.single_point_job`, and optionally ``fmax_ev_per_a``, ``max_steps`` and
            ``moves_cell``.

    Returns:
        JSON values: ``energy_ev_per_atom``, ``structure``, ``steps``, ``fmax_ev_per_a``, ``stress_gpa``,
        ``volume_a3_per_atom``, ``volume_factor``, ``moment_mub`` and the account; or ``failure``.
    """
    atoms = from_record(spec["structure"])
    settings, request = settings_of(spec, atoms.symbols), request_of(spec)
    if settings.functional not in WITH_STRESS:
        reason = f"the stress of {settings.functional} is not validated; use the job of the equation of state"
        return unpaid(atoms, settings, reason)
    limits = RelaxationSettings(
        spec.get("fmax_ev_per_a", LIMITS.fmax_ev_per_a),
        spec.get("max_steps", LIMITS.max_steps),
        spec.get("moves_cell", LIMITS.moves_cell),
    )
    potential = GpawPotential(settings, on_mesh_of(atoms, settings, request))
    end = relaxed_cell(potential, atoms, limits)
    return _reported(atoms, end, potential.answers)


def relaxed_cell(potential: GpawPotential, atoms: "Atoms", limits: RelaxationSettings) -> Relaxation | Refusal:
    """Relax a structure, with the stress of the basis taken off where the cell moves."""
    if not limits.moves_cell or unfit(atoms) is not None:
        (end,) = potential.relax([atoms], limits)
        return end
    better = corrected(potential, atoms)
    return better if isinstance(better, Refusal) else better.relax([atoms], limits)[0]


def _reported(atoms: "Atoms", end: Relaxation | Refusal, answers: list[dict[str, Any]]) -> dict[str, Any]:
    account = together(answers)
    if isinstance(end, Refusal):
        return account | {"failure": end.reason}
    if end.outcome is not Outcome.CONVERGED:
        reason = answers[-1].get("failure", "start nearer to a minimum or raise max_steps")
        return account | {"failure": f"the relaxation ended {end.outcome} after {end.steps} steps: {reason}"}
    return account | {
        "energy_ev_per_atom": end.prediction.energy_ev_per_atom,
        "structure": as_record(end.atoms),
        "steps": end.steps,
        "fmax_ev_per_a": float(np.linalg.norm(end.prediction.forces_ev_per_a, axis=1).max()),
        "stress_gpa": end.prediction.stress_gpa.tolist(),
        "volume_a3_per_atom": float(end.atoms.get_volume() / len(end.atoms)),
        "volume_factor": float(end.atoms.get_volume() / atoms.get_volume()),
        "moment_mub": answers[-1]["moment_mub"],
    }
