"""The volume of lowest energy at fixed shape, by a parabola through three volumes."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.dft.account import together
from physics.dft.calculation import Request, single_point
from physics.dft.settings import DFTSettings
from physics.prototypes import as_record

if TYPE_CHECKING:
    from ase import Atoms

VOLUME_STRAINS = (-0.04, 0.04)  # of the volume, beside the given one
ALLOWED = (0.85, 1.15)  # factor on the volume; a parabola through +-4 % says nothing further away


def relax_volume(atoms: "Atoms", settings: DFTSettings, request: Request, central: dict[str, Any]) -> dict[str, Any]:
    """Return the answer at the volume of lowest energy, on the mesh of the given volume.

    Args:
        atoms: structure.
        settings: numerical settings.
        request: what `central` was asked.
        central: successful answer of that structure.

    Returns:
        `central` with the energy of the minimum, ``volume_factor``, ``structure`` scaled by it and all seconds; or
        ``failure`` where a volume has no energy.
    """
    first, second, third = central["kpoints"]
    fixed, answers = replace(request, kpoints=(first, second, third)), [central]
    for strain in VOLUME_STRAINS:
        found = single_point(scaled(atoms, 1 + strain), settings, fixed)
        answers.append(found)
        if "failure" in found:
            return {**found, **together(answers), "failure": f"at volume factor {1 + strain:g}: {found['failure']}"}
    energies = [answer["energy_ev_per_atom"] for answer in answers]
    factor, energy = _lowest(np.array([1.0, *(1 + strain for strain in VOLUME_STRAINS)]), np.array(energies))
    lowest = {"energy_ev_per_atom": energy, "volume_factor": factor, "structure": as_record(scaled(atoms, factor))}
    return central | lowest | together(answers)


def scaled(atoms: "Atoms", volume_factor: float) -> "Atoms":
    """Return a copy with the volume times a factor, fractional coordinates as they are."""
    moved = atoms.copy()
    moved.set_cell(atoms.cell * volume_factor ** (1 / 3), scale_atoms=True)
    return moved


def _lowest(factors: np.ndarray, energies: np.ndarray) -> tuple[float, float]:
    curvature, slope, constant = np.polyfit(factors, energies, 2)
    inside = curvature > 0
    factor = float(np.clip(-slope / (2 * curvature), *ALLOWED) if inside else factors[int(np.argmin(energies))])
    return factor, float(curvature * factor**2 + slope * factor + constant)
