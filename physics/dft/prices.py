"""How long a calculation will take, from the size of its system and from past ones.

Applying the Hamiltonian goes with ``k-points x spins x bands x plane waves``, keeping bands orthogonal with one more
power of the bands (see Kresse and Furthmueller, Phys. Rev. B 54, 11169 (1996)); the rest is a start that all have.
Symmetry, which this leaves out, makes a calculation shorter, so that the estimate errs on the long side.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from physics.dft.mesh import kpoint_counts
from physics.dft.refusals import valence_electrons
from physics.dft.settings import DFTSettings
from physics.dft.volume import VOLUME_STRAINS
from physics.prototypes import from_record

START_SECONDS = 2.0
# PBE: median of 25 elements and compounds (fast, 1 to 4 atoms, one core of an AMD EPYC, 2026-11-23); the others by
# their ratio to it over five compounds and two equations of state. Past jobs of the same functional replace them.
SECONDS_PER_WORK = {"LDA": 3.0e-6, "PBE": 3.9e-6, "r2SCAN": 9.0e-6}
ENOUGH, LATEST = 5, 50  # past jobs: at least, and at most
BANDS_PER_ELECTRON, ORTHOGONAL_BANDS = 0.6, 100.0
WAVE_NUMBER_PER_ROOT_EV = 0.5123  # 1/angstrom of a free electron of 1 eV


@dataclass(frozen=True)
class CostModel:
    """Seconds on one core as a function of the work.

    Attributes:
        seconds_per_work: see `work_of`.
        past: jobs that this was learnt from.
    """

    seconds_per_work: float
    past: int = 0

    def seconds(self, spec: Mapping[str, Any]) -> float:
        """Return the expected time of a job; 0 where an element has no PAW data, and the job ends at once."""
        return self.seconds_of(work_of(spec))

    def seconds_of(self, work: float) -> float:
        """Return the expected time of so much work."""
        return START_SECONDS + self.seconds_per_work * work if work else 0.0


def learnt(results: Iterable[tuple[Mapping[str, Any], Mapping[str, Any]]], functional: str) -> CostModel:
    """Return the model that past jobs of a functional speak for, the given one where there are too few.

    Args:
        results: spec and answer of each, the latest first.
        functional: key of `physics.dft.settings.FUNCTIONALS`.
    """
    alike = ((spec, answer) for spec, answer in results if spec["settings"]["functional"] == functional)
    told = (rate for spec, answer in alike if (rate := _rate(spec, answer)) is not None)
    rates = list(islice(told, LATEST))
    known = len(rates) >= ENOUGH
    return CostModel(float(np.median(rates)), len(rates)) if known else CostModel(SECONDS_PER_WORK[functional])


def work_of(spec: Mapping[str, Any]) -> float:
    """Return the work of a job, each of its single points counted; 0 where an element has no PAW data."""
    atoms, settings = from_record(spec["structure"]), DFTSettings(**spec["settings"])
    electrons = valence_electrons(atoms, settings.functional)
    if electrons is None:
        return 0.0
    wave_number = WAVE_NUMBER_PER_ROOT_EV * math.sqrt(settings.cutoff_ev)
    plane_waves = atoms.get_volume() * wave_number**3 / (6 * math.pi**2)
    bands = max(1.0, BANDS_PER_ELECTRON * electrons)
    kpoints = math.prod(spec.get("kpoints") or kpoint_counts(atoms, settings.k_length_a))
    volumes = 1 + len(VOLUME_STRAINS) if spec.get("relax_volume") else 1
    return volumes * kpoints * bands * plane_waves * (1 + bands / ORTHOGONAL_BANDS)


def _rate(spec: Mapping[str, Any], answer: Mapping[str, Any]) -> float | None:
    seconds = float(answer.get("seconds", 0.0)) * float(answer.get("cores", 1)) - START_SECONDS
    told = {**spec, "kpoints": answer.get("kpoints")}  # the search for a mesh takes longer than all else here
    work = 0.0 if "failure" in answer else work_of(told)
    return seconds / work if work and seconds > 0 else None
