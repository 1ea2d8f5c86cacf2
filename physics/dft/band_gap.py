"""The job of a band gap: eigenvalues on the mesh, without bands between its points."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from physics.dft.calculation import SPARE_BANDS, single_point
from physics.dft.gpaw import request_of
from physics.dft.settings import settings_of
from physics.prototypes import from_record

EMPTY_BANDS = 2


def band_gap_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: the Kohn-Sham gap of ``spec["structure"]``.

    Args:
        spec: as of `physics.dft.gpaw.single_point_job`.

    Returns:
        Its answer with ``gap_ev``, ``direct_gap_ev`` (both 0 for a metal), ``metal``, ``valence_top_ev`` and
        ``conduction_bottom_ev`` (None for a metal) and ``gap_kpoints`` (scaled, of top and bottom); or ``failure``.
    """
    atoms = from_record(spec["structure"])
    request = replace(request_of(spec, _observed), empty_bands=EMPTY_BANDS)
    return single_point(atoms, settings_of(spec, atoms.symbols), request)


def gap_of(eigenvalues_ev: np.ndarray, fermi_ev: float) -> dict[str, Any]:
    """Return the gap at the Fermi level.

    Args:
        eigenvalues_ev: shape (spins, k-points, bands), at least one of them empty.
        fermi_ev: Fermi level.

    Returns:
        As `band_gap_job`; ``places`` are the k-point indices of top and bottom.
    """
    rows = np.sort(eigenvalues_ev, axis=2)
    occupied = (rows <= fermi_ev).sum(axis=2)
    if (occupied != occupied[:, :1]).any() or (occupied == rows.shape[2]).any():  # a band crosses the Fermi level
        return {
            "gap_ev": 0.0,
            "direct_gap_ev": 0.0,
            "metal": True,
            "valence_top_ev": None,
            "conduction_bottom_ev": None,
        }
    tops = np.array(
        [row[:, count - 1] if count else np.full(len(row), -np.inf) for row, count in _spins(rows, occupied)]
    )
    bottoms = np.array([row[:, count] for row, count in _spins(rows, occupied)])
    top, bottom = np.unravel_index(tops.argmax(), tops.shape), np.unravel_index(bottoms.argmin(), bottoms.shape)
    return {
        "gap_ev": float(bottoms.min() - tops.max()),
        "direct_gap_ev": float((bottoms - tops).min()),
        "metal": False,
        "valence_top_ev": float(tops.max()),
        "conduction_bottom_ev": float(bottoms.min()),
        "places": [int(top[1]), int(bottom[1])],
    }


def _spins(rows: np.ndarray, occupied: np.ndarray) -> list[tuple[np.ndarray, int]]:
    return [(row, int(counts[0])) for row, counts in zip(rows, occupied, strict=True)]


def _observed(calculator: Any) -> dict[str, Any]:
    kpoints = calculator.get_ibz_k_points()
    spins = range(calculator.get_number_of_spins())
    values = [[calculator.get_eigenvalues(kpt=k, spin=spin) for k in range(len(kpoints))] for spin in spins]
    converged = np.array(values)[:, :, :-SPARE_BANDS]
    found = gap_of(converged, float(calculator.get_fermi_level()))
    places = found.pop("places", None)
    return found | {"gap_kpoints": None if places is None else kpoints[places].tolist()}
