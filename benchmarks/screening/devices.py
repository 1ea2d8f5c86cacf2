"""All GPUs beside one."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from unittest import mock

import jax

from benchmarks.screening.ours import relax_timed
from benchmarks.screening.tasks import Counts
from benchmarks.timing import seconds_of
from physics.mlip.chgnet_potential import ChgnetPotential

REPEATS = 3


def measure_devices(potential: ChgnetPotential, counts: Counts, every: Mapping[str, Any]) -> dict[str, Any]:
    """Return by how much all devices are faster than one; nothing where there is one.

    Args:
        potential: ours.
        counts: of perovskites.
        every: figures of all devices.
    """
    count = len(jax.local_devices())
    if count < 2:
        return {}
    with only(1):
        one = _one(potential, counts)
    name = "two_gpu_speedup" if count == 2 else f"speedup_of_{count}_gpus"
    return one | {
        name: one["ms_per_single_point_one_gpu"] / every["ms_per_single_point"],
        f"{name}_relax": every["relaxations_per_hour"] / one["relaxations_per_hour_one_gpu"],
    }


@contextmanager
def only(count: int) -> Iterator[None]:
    """Show the first devices alone."""
    devices = jax.local_devices()[:count]
    with mock.patch.object(jax, "local_devices", lambda: devices):
        yield


def _one(potential: ChgnetPotential, counts: Counts) -> dict[str, float]:
    points, starts = (counts.draw("perovskites", count) for count in (counts.points[0], counts.relaxed[0]))
    potential.predict(points)
    return {
        "ms_per_single_point_one_gpu": 1e3 * seconds_of(lambda: potential.predict(points), REPEATS) / len(points),
        "relaxations_per_hour_one_gpu": 3600 / relax_timed(potential, starts).seconds_each,
    }
