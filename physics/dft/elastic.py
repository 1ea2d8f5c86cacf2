"""The job of elastic constants: stresses of strained cells on one mesh of k-points."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from physics.dft.account import together
from physics.dft.calculation import on_mesh_of, unpaid
from physics.dft.cell import LIMITS
from physics.dft.gpaw import request_of
from physics.dft.potential import GpawPotential
from physics.dft.pulay import corrected
from physics.dft.settings import WITH_STRESS, settings_of
from physics.mlip.potential import Outcome, Refusal, RelaxationSettings
from physics.prototypes import from_record
from physics.thermodynamics.deformation import unfit
from physics.thermodynamics.elastic import Elasticity, elastic_tensors

if TYPE_CHECKING:
    from ase import Atoms

STRAINS = (0.01,)  # one size: the stress of plane waves is smooth, and each size costs twelve relaxations
POSITIONS = RelaxationSettings(fmax_ev_per_a=0.005, max_steps=40, moves_cell=False)


def elastic_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: the elastic constants of ``spec["structure"]``.

    Args:
        spec: as of `physics.dft.gpaw.single_point_job`, and optionally ``strains`` (sizes), ``relax_cell`` (first, by
            the same settings; default true) and ``relax_atoms`` (in the strained cells; default true).

    Returns:
        JSON values: ``stiffness_gpa`` and ``raw_gpa``, shape (6, 6), ``asymmetry``, ``roughness``,
        ``residual_stress_gpa``, ``stable``, ``averages`` (None where unstable) and the account; or ``failure``.
    """
    atoms = from_record(spec["structure"])
    settings, request = settings_of(spec, atoms.symbols), request_of(spec)
    if settings.functional not in WITH_STRESS:
        reason = f"the stress of {settings.functional} is not validated; use one of {list(WITH_STRESS)}"
        return unpaid(atoms, settings, reason)
    potential = GpawPotential(settings, on_mesh_of(atoms, settings, request))
    found = _found(potential, atoms, spec)
    if isinstance(found, Refusal):
        reason = f"{atoms.get_chemical_formula()}: no elastic constants: {found.reason}"
        return unpaid(atoms, settings, reason) | together(potential.answers)
    return together(potential.answers) | _reported(found)


def _found(potential: GpawPotential, atoms: "Atoms", spec: Mapping[str, Any]) -> Elasticity | Refusal:
    if (flat := unfit(atoms)) is not None:
        return flat
    better = corrected(potential, atoms)
    if isinstance(better, Refusal):
        return better
    start = _start(better, atoms) if spec.get("relax_cell", True) else atoms
    if isinstance(start, Refusal):
        return start
    strains: Sequence[float] = spec.get("strains", STRAINS)
    relaxation = POSITIONS if spec.get("relax_atoms", True) and not _fixed_by_symmetry(atoms) else None
    (found,) = elastic_tensors(better, [start], strains, relaxation)
    return found


def _start(potential: GpawPotential, atoms: "Atoms") -> "Atoms | Refusal":
    (end,) = potential.relax([atoms], LIMITS)
    if isinstance(end, Refusal):
        return end
    return end.atoms if end.outcome is Outcome.CONVERGED else Refusal(f"the cell did not relax: {end.outcome}")


def _fixed_by_symmetry(atoms: "Atoms") -> bool:
    """One atom in a cell feels no force under any strain."""
    return len(atoms) == 1


def _reported(found: Elasticity) -> dict[str, Any]:
    return {
        "stiffness_gpa": found.stiffness_gpa.tolist(),
        "raw_gpa": found.raw_gpa.tolist(),
        "asymmetry": found.asymmetry,
        "roughness": found.roughness,
        "residual_stress_gpa": found.residual_stress_gpa.tolist(),
        "stable": found.stable,
        "averages": None if found.averages is None else asdict(found.averages),
    }
