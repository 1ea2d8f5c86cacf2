"""The job of one GPAW calculation, and what the spec of every job may ask."""

from collections.abc import Mapping
from typing import Any

from physics.dft.calculation import Observe, Request, nothing_more, single_point
from physics.dft.magnetism import TOLERANCE_MUB
from physics.dft.settings import settings_of
from physics.dft.volume import relax_volume
from physics.prototypes import from_record

REVISION = 2  # part of the content hash: raise it whenever this package's answers change


def single_point_job(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Answer a queue's job: the energy of ``spec["structure"]`` with ``spec["settings"]``.

    Optional: ``functional`` (where the settings are a protocol's name), ``kpoints``, ``moments_mub``,
    ``expected_moment_mub``, ``moment_tolerance_mub``. With ``relax_volume`` the structure is also calculated at other
    volumes, and the energy is the lowest of the parabola through them.
    """
    atoms = from_record(spec["structure"])
    settings, request = settings_of(spec, atoms.symbols), request_of(spec)
    central = single_point(atoms, settings, request)
    if not spec.get("relax_volume") or "failure" in central:
        return central
    return relax_volume(atoms, settings, request, central)


def request_of(spec: Mapping[str, Any], observe: Observe = nothing_more) -> Request:
    """Return what a job's spec asks beside structure and settings, all optional and named as in `Request`."""
    kpoints = spec.get("kpoints")
    return Request(
        kpoints=None if kpoints is None else (int(kpoints[0]), int(kpoints[1]), int(kpoints[2])),
        moments_mub=spec.get("moments_mub"),
        expected_moment_mub=spec.get("expected_moment_mub"),
        moment_tolerance_mub=spec.get("moment_tolerance_mub", TOLERANCE_MUB),
        observe=observe,
    )
