"""The job of an equation of state: volumes on one mesh of k-points, third-order Birch-Murnaghan."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from physics.dft.account import together
from physics.dft.calculation import on_mesh_of, unpaid
from physics.dft.errors import SettingsError
from physics.dft.gpaw import request_of
from physics.dft.potential import GpawPotential
from physics.dft.settings import settings_of
from physics.dft.volume import scaled
from physics.mlip.potential import Refusal
from physics.prototypes import as_record, from_record
from physics.thermodynamics.equation_of_state import equations_of_state

MIN_VOLUMES = 7  # four coefficients, and three to see a misfit
SPAN = 0.06  # of the volume, both ways; that of the Delta project


def equation_of_state_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: the equation of state of ``spec["structure"]`` at fixed shape.

    Args:
        spec: as of `physics.dft.gpaw.single_point_job`, and optionally ``volumes`` (their number, at least
            `MIN_VOLUMES`) and ``span`` (largest change of the volume, a fraction).

    Returns:
        JSON values: ``volume_a3_per_atom``, ``energy_ev_per_atom``, ``bulk_modulus_gpa``, ``pressure_derivative``,
        ``residual_ev_per_atom``, ``structure`` at the minimum, ``volumes_a3_per_atom``, ``energies_ev_per_atom``,
        ``moments_mub`` (cell, by volume) and the account; or ``failure``, also where the minimum is outside.

    Raises:
        SettingsError: too few volumes, or a span that is no fraction.
    """
    atoms = from_record(spec["structure"])
    settings, request = settings_of(spec, atoms.symbols), request_of(spec)
    factors = _factors(spec.get("volumes", MIN_VOLUMES), spec.get("span", SPAN))
    potential = GpawPotential(settings, on_mesh_of(atoms, settings, request), forces=False)
    (found,) = equations_of_state(potential, [atoms], (factors ** (1 / 3) - 1).tolist())
    if isinstance(found, Refusal):
        reason = f"{atoms.get_chemical_formula()}: no equation of state: {found.reason}"
        return unpaid(atoms, settings, reason) | together(potential.answers)
    given = atoms.get_volume() / len(atoms)
    return (
        together(potential.answers)
        | asdict(found)
        | {
            "structure": as_record(scaled(atoms, found.volume_a3_per_atom / given)),
            "volumes_a3_per_atom": (given * factors).tolist(),
            "energies_ev_per_atom": [answer["energy_ev_per_atom"] for answer in potential.answers],
            "moments_mub": [answer["moment_mub"] for answer in potential.answers],
        }
    )


def _factors(volumes: int, span: float) -> np.ndarray:
    if volumes < MIN_VOLUMES or not 0 < span < 0.5:
        raise SettingsError(f"{volumes=}, {span=}: use at least {MIN_VOLUMES} volumes and a span between 0 and 0.5")
    return np.linspace(1 - span, 1 + span, volumes)
