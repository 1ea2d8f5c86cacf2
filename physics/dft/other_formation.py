"""Formation energies by another code as a plan of jobs: each cell on a mesh of its own, equally dense."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.formation import reference_spec
from physics.dft.mesh import kpoint_counts
from physics.prototypes import from_record, initial_moments
from physics.queue.job import Job
from physics.thermodynamics.formation_energy import FormationPlan

if TYPE_CHECKING:
    from ase import Atoms

SINGLE_POINT = "physics.dft.other_codes:ase_single_point_job"


def other_formation_plan(
    structure: Mapping[str, Any], common: Mapping[str, Any], k_length_a: float | None, payer: str = ""
) -> FormationPlan:
    """Plan the formation energy of a compound by another code.

    Args:
        structure: record of `physics.prototypes.as_record`.
        common: of all specs: ``calculator``, ``options``, and what else belongs to the identity of the jobs.
        k_length_a: density of the meshes, as in `physics.dft.mesh`; None where the code has none.
        payer: of all jobs, see `physics.queue.job.Job`.

    Raises:
        ValueError: no reference structure is known for an element.
    """
    atoms, calculator = from_record(structure), common["calculator"]
    symbols = sorted(set(atoms.symbols))
    references = tuple(
        Job(SINGLE_POINT, _spec(reference_spec(symbol), common, k_length_a), f"{calculator} element {symbol}", payer)
        for symbol in symbols
    )
    spec = _spec({"structure": structure}, common, k_length_a)
    compound = Job(SINGLE_POINT, spec, f"{calculator} {atoms.get_chemical_formula()}", payer)
    return FormationPlan(compound, references, tuple(float(np.mean(atoms.symbols == symbol)) for symbol in symbols))


def _spec(asked: Mapping[str, Any], common: Mapping[str, Any], k_length_a: float | None) -> dict[str, Any]:
    atoms = from_record(asked["structure"])
    mesh = {} if k_length_a is None else {"kpts": list(kpoint_counts(atoms, k_length_a))}
    return {**_moments(atoms), **asked, **common, "options": {**common["options"], **mesh}}


def _moments(atoms: "Atoms") -> dict[str, Any]:
    moments = initial_moments(atoms)
    return {} if moments is None else {"moments_mub": moments.tolist()}
