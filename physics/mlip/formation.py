"""The lowest of several prototypes by a machine-learned potential, and the elements that it is compared with.

Cheap first: each prototype is scanned over volumes with energies alone, only those close to the lowest are relaxed, and
a relaxation that stays far above the best one so far is given up.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.mlip.ase import Potential, relax
from physics.prototypes import (
    as_record,
    as_spglib,
    build,
    elemental_reference,
    elemental_volume_a3,
    orderings,
    primitive,
)

if TYPE_CHECKING:
    from ase import Atoms

VOLUME_FACTORS = np.array([0.80, 0.88, 0.96, 1.04, 1.12])  # of the mean of the elements' volumes
SCAN_WINDOW_EV_PER_ATOM = 0.15  # an internal relaxation seldom gains more
RELAXATION_WINDOW_EV_PER_ATOM = 0.05
IDEALISATION_A = 0.02
REVISION = 1  # part of the content hash: raise it whenever this recipe's answers change


@dataclass(frozen=True)
class ScannedPrototype:
    """The bottom of one volume scan.

    Attributes:
        label: prototype and the element on its first site, such as ``B33:Zr``.
        atoms: structure at the best volume.
        energy_ev_per_atom: energy of the parabola through the three lowest volumes.
    """

    label: str
    atoms: "Atoms"
    energy_ev_per_atom: float


def ground_state(first: str, second: str, prototypes: Sequence[str], potential: Potential) -> dict[str, Any]:
    """Relax the promising prototypes of a 1:1 compound and return the lowest.

    Args:
        first: the more electropositive element.
        second: the other element.
        prototypes: names in `physics.prototypes.PROTOTYPES`.
        potential: energies, forces and stress.

    Returns:
        JSON values: ``energy_ev_per_atom``, ``prototype``, ``space_group``, ``structure``, ``prototypes`` (energy of
        each above the lowest, eV/atom), ``steps``; or ``failure`` with the reasons where none could be relaxed.
    """
    scans = [scan(name, a, b, potential) for name in prototypes for a, b in orderings(name, first, second)]
    scans.sort(key=lambda candidate: candidate.energy_ev_per_atom)
    limit = scans[0].energy_ev_per_atom + SCAN_WINDOW_EV_PER_ATOM
    energies = {candidate.label: candidate.energy_ev_per_atom for candidate in scans}
    best, best_label, failures, steps = None, "", {}, 0
    calculator = potential.calculator()
    for candidate in scans:
        if candidate.energy_ev_per_atom > limit:
            break
        ceiling = best.energy_ev_per_atom + RELAXATION_WINDOW_EV_PER_ATOM if best else float("inf")
        found = relax(candidate.atoms, calculator, hopeless_above_ev_per_atom=ceiling)
        steps += found.steps
        if found.failure:
            failures[candidate.label] = found.failure
            continue
        energies[candidate.label] = found.energy_ev_per_atom
        if best is None or found.energy_ev_per_atom < best.energy_ev_per_atom:
            best, best_label = found, candidate.label
    if best is None:
        return {"failure": f"no prototype of {first}{second} could be relaxed: {failures}"}
    return {
        "energy_ev_per_atom": best.energy_ev_per_atom,
        "prototype": best_label,
        **describe(best.atoms),
        "prototypes": {label: round(energy - best.energy_ev_per_atom, 4) for label, energy in energies.items()},
        "steps": steps,
    }


def element(symbol: str, potential: Potential) -> dict[str, Any]:
    """Relax an element's reference structure; return values as `ground_state` does, without prototypes."""
    found = relax(elemental_reference(symbol), potential.calculator())
    if found.failure:
        return {"failure": f"the reference structure of {symbol} could not be relaxed: {found.failure}"}
    return {"energy_ev_per_atom": found.energy_ev_per_atom, **describe(found.atoms), "steps": found.steps}


def scan(name: str, first: str, second: str, potential: Potential) -> ScannedPrototype:
    """Find the best volume of a prototype at fixed shape by energies alone."""
    guess_a3 = (elemental_volume_a3(first) + elemental_volume_a3(second)) / 2
    energies = potential.energies_ev_per_atom([build(name, first, second, f * guess_a3) for f in VOLUME_FACTORS])
    factor, energy = _parabola(VOLUME_FACTORS, energies)
    return ScannedPrototype(f"{name}:{first}", build(name, first, second, factor * guess_a3), energy)


def describe(atoms: "Atoms") -> dict[str, Any]:
    """Return the idealised primitive structure as a record, with its space group."""
    import spglib

    ideal = primitive(atoms, IDEALISATION_A)
    found = spglib.get_symmetry_dataset(as_spglib(ideal), 1e-3)
    return {"structure": as_record(ideal), "space_group": int(found.number) if found else 1}


def ground_state_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: `ground_state` of ``spec["elements"]`` over ``spec["prototypes"]`` by CHGNet."""
    first, second = spec["elements"]
    return ground_state(first, second, spec["prototypes"], _chgnet(spec["weights"]))


def element_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: `element` of ``spec["element"]`` by CHGNet."""
    return element(spec["element"], _chgnet(spec["weights"]))


_LOADED: dict[str, Potential] = {}


def _chgnet(weights: str) -> Potential:
    from physics.mlip import chgnet

    if weights not in _LOADED:  # a worker answers many jobs; loading takes longer than a relaxation
        _LOADED[weights] = chgnet.load(weights)
    return _LOADED[weights]


def _parabola(factors: np.ndarray, energies: np.ndarray) -> tuple[float, float]:
    middle = int(np.clip(energies.argmin(), 1, len(factors) - 2))
    near = slice(middle - 1, middle + 2)
    curvature, slope, constant = np.polyfit(factors[near], energies[near], 2)
    if curvature <= 0:
        return float(factors[energies.argmin()]), float(energies.min())
    bottom = float(np.clip(-slope / (2 * curvature), factors[0] - 0.05, factors[-1] + 0.05))
    return bottom, float(curvature * bottom**2 + slope * bottom + constant)
