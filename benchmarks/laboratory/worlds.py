"""Hidden truths for simulated campaigns: real alloys' hardness from an emulator, and a physics model on a grid.

The first is as rough as measured data; the second is smooth, as within one alloy system. Magnitudes of what goes wrong
are in units of the pool's own spread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from benchmarks.decisions.tasks import mpea_hardness
from mfal.space.features import composition_descriptors
from mfal.space.pool import Pool
from physics.experiment.failures import (
    BatchOffset,
    Contaminated,
    Drift,
    Dropped,
    Failures,
    FurnaceDeviation,
    Misassigned,
    Misweighed,
    OperatorBottleneck,
    Refused,
)
from physics.experiment.truth import Emulated
from physics.laboratory_truth import drawn, emulated, solid_solution
from physics.simulated_laboratory import alloy_grid

CANDIDATES = 80
# A share of the materials that cannot be made at all in the mode "refused".
HARD = 0.4
# Each kind by itself; the argument is the spread of the hidden values.
MODES: dict[str, Callable[[float], Any]] = {
    "dropped": lambda spread: Dropped(0.15),
    "refused": lambda spread: Refused(HARD, 0.95),
    "contaminated": lambda spread: Contaminated(0.15, 1.5 * spread),
    "misweighed": lambda spread: Misweighed(0.5, 0.02, 0.03, 15.0 * spread),
    "furnace": lambda spread: FurnaceDeviation(0.3, 80.0),
    "drift": lambda spread: Drift(0.5 * spread, 4),
    "batch": lambda spread: BatchOffset(0.5 * spread),
    "misassigned": lambda spread: Misassigned(0.15),
    "operators": lambda spread: OperatorBottleneck(0.5, 1),
}


@dataclass(frozen=True)
class World:
    """A pool with its hidden truth."""

    pool: Pool
    value: np.ndarray

    @property
    def spread(self) -> float:
        """Standard deviation over the pool."""
        return float(self.value.std())


def failures(mode: str, spread: float) -> Failures:
    """Return what goes wrong: one kind, ``none``, or ``all``; of ``all`` each at half its rate or size."""
    if mode == "all":
        return Failures(
            Dropped(0.05), Refused(0.2, 0.9), Contaminated(0.05, spread), Misweighed(0.3, 0.02, 0.03, 10.0 * spread),
            FurnaceDeviation(0.15, 60.0), Drift(0.25 * spread, 4), BatchOffset(0.3 * spread), Misassigned(0.05),
            OperatorBottleneck(0.3, 1),
        )  # fmt: skip
    return Failures(**({} if mode == "none" else {mode: MODES[mode](spread)}))


def measured_world(seed: int) -> World:
    """Return some of the alloys whose hardness has been measured, and one draw of what they are."""
    names, descriptors, columns = _alloys()
    truth = drawn(_emulated(), seed)
    kept = np.sort(np.random.default_rng(seed).choice(len(names), CANDIDATES, replace=False))
    return World(Pool([names[row] for row in kept], descriptors[kept], columns, {}), truth[kept])


def grid_world(seed: int) -> World:
    """Return 80 alloys of four elements, and one draw of the physics model."""
    pool = _grid()
    return World(pool, drawn(solid_solution(list(pool.ids), "benchmark"), seed))


@cache
def _grid() -> Pool:
    return alloy_grid({"elements": ["Ni", "Co", "Cr", "Fe"], "parts": 6})


@cache
def _alloys() -> tuple[list[str], np.ndarray, tuple[str, ...]]:
    names = sorted({name for name, _ in mpea_hardness()})
    return names, *composition_descriptors(names)


@cache
def _emulated() -> Emulated:
    return emulated(_alloys()[0], mpea_hardness(), logarithmic=False)
