"""The lowest of several prototypes by a machine-learned potential, for many compounds and elements at once.

All prototypes of all compounds are scanned over volumes in one call of the potential, and those close to the lowest of
their compound are relaxed together in a second one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.mlip.potential import Outcome, Potential, Prediction, Refusal, Relaxation, RelaxationSettings
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
RELAXATION = RelaxationSettings(fmax_ev_per_a=0.01, max_steps=500)
MAX_VOLUME_RATIO = 1.6  # a metal that swells or shrinks by more has left the potential's domain
MIN_DISTANCE_A = 1.4
SAME_EV_PER_ATOM = 5e-4  # what two relaxations into one structure differ by
IDEALISATION_A = 0.02
REVISION = 2  # part of the content hash: raise it whenever this recipe's answers change


@dataclass(frozen=True)
class Compound:
    """What is asked of a 1:1 compound.

    Attributes:
        first: the more electropositive element.
        second: the other element.
        prototypes: names in `physics.prototypes.PROTOTYPES`.
    """

    first: str
    second: str
    prototypes: tuple[str, ...]


@dataclass(frozen=True)
class _Start:
    """Where a relaxation starts: the bottom of a volume scan, or an element's reference structure."""

    label: str  # prototype and the element on its first site, such as ``B33:Zr``; or the element
    atoms: "Atoms"
    energy_ev_per_atom: float


def lowest(asked: Sequence[Compound | str], potential: Potential) -> list[dict[str, Any]]:
    """Relax the promising prototypes of compounds, and the reference structures of elements.

    Args:
        asked: compounds, and symbols of elements.
        potential: answers many structures at once.

    Returns:
        For each JSON values: ``energy_ev_per_atom``, ``structure``, ``space_group``, ``steps``, of compounds also
        ``prototype`` and ``prototypes`` (energy of each above the lowest, eV/atom); or ``failure`` with the reasons
        where nothing could be relaxed.
    """
    scans = iter(_scans([one for one in asked if isinstance(one, Compound)], potential))
    every = [next(scans) if isinstance(one, Compound) else _element(one) for one in asked]
    hopeful = [_promising(starts) for starts in every]
    relaxed = iter(potential.relax([start.atoms for starts in hopeful for start in starts], RELAXATION))
    ends = [[(start, next(relaxed)) for start in starts] for starts in hopeful]
    return [_answer(*one) for one in zip(asked, every, ends, strict=True)]


def _scans(compounds: Sequence[Compound], potential: Potential) -> list[list[_Start]]:
    """Find the best volume of each prototype at fixed shape by energies alone."""
    sites = [
        [(name, a, b) for name in one.prototypes for a, b in orderings(name, one.first, one.second)]
        for one in compounds
    ]
    every = [site for of_compound in sites for site in of_compound]
    guesses = [build(*site, (elemental_volume_a3(site[1]) + elemental_volume_a3(site[2])) / 2) for site in every]
    answers = potential.predict([_scaled(guess, factor) for guess in guesses for factor in VOLUME_FACTORS])
    energies = np.array([_energy(answer) for answer in answers]).reshape(len(every), -1)
    bottoms = [_parabola(VOLUME_FACTORS, row) for row in energies]
    starts = (
        _Start(f"{name}:{first}", _scaled(guess, factor), energy)
        for (name, first, _), guess, (factor, energy) in zip(every, guesses, bottoms, strict=True)
    )
    return [[next(starts) for _ in of_compound] for of_compound in sites]


def _scaled(atoms: "Atoms", volume_factor: float) -> "Atoms":
    scaled = atoms.copy()
    scaled.set_cell(atoms.cell * volume_factor ** (1 / 3), scale_atoms=True)
    return scaled


def _element(symbol: str) -> list[_Start]:
    return [_Start(symbol, elemental_reference(symbol), 0.0)]


def _energy(answer: Prediction | Refusal) -> float:
    return answer.energy_ev_per_atom if isinstance(answer, Prediction) else np.inf


def _promising(starts: Sequence[_Start]) -> list[_Start]:
    limit = min(start.energy_ev_per_atom for start in starts) + SCAN_WINDOW_EV_PER_ATOM
    return [start for start in starts if start.energy_ev_per_atom <= limit]


def _answer(
    asked: Compound | str, starts: Sequence[_Start], ends: Sequence[tuple[_Start, Relaxation | Refusal]]
) -> dict[str, Any]:
    failures = {start.label: reason for start, end in ends if (reason := _failure(start, end))}
    good = {start.label: end for start, end in ends if start.label not in failures and isinstance(end, Relaxation)}
    if not good:
        what = asked if isinstance(asked, str) else f"{asked.first}{asked.second}"
        return {"failure": f"no structure of {what} could be relaxed: {failures}"}
    label, best = _lowest(good)
    energy = best.prediction.energy_ev_per_atom
    found = {"energy_ev_per_atom": energy, **describe(best.atoms), "steps": sum(end.steps for end in good.values())}
    if isinstance(asked, str):
        return found
    scanned = {start.label: start.energy_ev_per_atom for start in starts}
    energies = scanned | {name: end.prediction.energy_ev_per_atom for name, end in good.items()}
    above = {name: round(value - energy, 4) for name, value in energies.items() if np.isfinite(value)}
    return {**found, "prototype": label, "prototypes": above}


def _lowest(ends: Mapping[str, Relaxation]) -> tuple[str, Relaxation]:
    """Return the first that is as low as any: one prototype can relax into another."""
    limit = min(end.prediction.energy_ev_per_atom for end in ends.values()) + SAME_EV_PER_ATOM
    return next(item for item in ends.items() if item[1].prediction.energy_ev_per_atom <= limit)


def _failure(start: _Start, end: Relaxation | Refusal) -> str | None:
    """Return why the end is no relaxed structure; None where it is one."""
    if isinstance(end, Refusal):
        return end.reason
    if end.outcome != Outcome.CONVERGED:
        return f"{end.outcome} in {end.steps} steps"
    ratio = end.atoms.get_volume() / start.atoms.get_volume()
    if not 1 / MAX_VOLUME_RATIO < ratio < MAX_VOLUME_RATIO:
        return f"the volume changed by the factor {ratio:.2f} during the relaxation"
    distance = shortest_distance_a(end.atoms)
    return f"two atoms came within {distance:.2f} angstrom" if distance < MIN_DISTANCE_A else None


def shortest_distance_a(atoms: "Atoms") -> float:
    """Return the shortest distance between two atoms, periodic images included, up to 4 angstrom."""
    from ase.neighborlist import neighbor_list

    distances = neighbor_list("d", atoms, 4.0)
    return float(distances.min()) if len(distances) else 4.0


def describe(atoms: "Atoms") -> dict[str, Any]:
    """Return the idealised primitive structure as a record, with its space group."""
    import spglib

    ideal = primitive(atoms, IDEALISATION_A)
    found = spglib.get_symmetry_dataset(as_spglib(ideal), 1e-3)
    return {"structure": as_record(ideal), "space_group": int(found.number) if found else 1}


def chgnet_jobs(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Answer many jobs of a queue at once by CHGNet.

    Args:
        specs: with the same ``weights`` each, and either ``element`` or ``elements`` and ``prototypes``.
    """
    (weights,) = {spec["weights"] for spec in specs}
    return lowest([_asked(spec) for spec in specs], _chgnet(weights))


def _asked(spec: Mapping[str, Any]) -> Compound | str:
    if "element" in spec:
        return spec["element"]
    first, second = spec["elements"]
    return Compound(first, second, tuple(spec["prototypes"]))


@cache
def _chgnet(weights: str) -> Potential:
    from physics.mlip.chgnet_potential import load_chgnet

    return load_chgnet(weights)


def _parabola(factors: np.ndarray, energies: np.ndarray) -> tuple[float, float]:
    """Return place and value of the minimum of the parabola through the three points around the lowest."""
    middle = int(np.clip(energies.argmin(), 1, len(factors) - 2))
    near = slice(middle - 1, middle + 2)
    if not np.isfinite(energies[near]).all():
        return float(factors[energies.argmin()]), float(energies.min())
    curvature, slope, constant = np.polyfit(factors[near], energies[near], 2)
    if curvature <= 0:
        return float(factors[energies.argmin()]), float(energies.min())
    bottom = float(np.clip(-slope / (2 * curvature), factors[0] - 0.05, factors[-1] + 0.05))
    return bottom, float(curvature * bottom**2 + slope * bottom + constant)
