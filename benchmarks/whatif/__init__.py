"""Budget what-ifs: campaigns a minute, against BoTorch and against the device; and whether the bands are right."""

from statistics import median
from typing import Any

import jax

from benchmarks.record import UnavailableError
from benchmarks.whatif.equality import live_equals_simulated
from benchmarks.whatif.roofline import measure_roofline
from benchmarks.whatif.speed import CANDIDATES, DECISIONS, measure_speed

PEER_CAMPAIGNS = 3


def measure(smoke: bool) -> dict[str, Any]:
    """Return all figures; what a missing peer or table leaves out is not among them."""
    figures = measure_speed(smoke)
    single = figures["campaigns_per_min_single"] > figures["campaigns_per_min_double"]
    figures |= measure_roofline(figures["campaigns_per_min"], single, smoke)
    figures |= _beside_botorch(figures["campaigns_per_min"], smoke)
    figures["live_equals_simulated"] = live_equals_simulated(40, 5 if smoke else 40, 2 if smoke else 5)
    figures |= _calibration(smoke)
    device = jax.devices()[0]
    return figures | ({"device": f"{len(jax.devices())} x {device.device_kind}"} if device.platform != "cpu" else {})


def _beside_botorch(campaigns_per_min: float, smoke: bool) -> dict[str, Any]:
    """Return the ratio to BoTorch's campaigns, one after the other in one process on this machine."""
    from benchmarks.whatif.peer import botorch_campaign

    size, steps = (60, 3) if smoke else (CANDIDATES, DECISIONS)
    try:
        seconds = [botorch_campaign(size, steps, seed).seconds for seed in range(1 if smoke else PEER_CAMPAIGNS)]
    except UnavailableError:
        return {}
    theirs = 60.0 / median(seconds)
    return {"botorch_campaigns_per_min": round(theirs, 1), "ratio_botorch": round(campaigns_per_min / theirs)}


def _calibration(smoke: bool) -> dict[str, Any]:
    from benchmarks.whatif.coverage import measure_coverage

    try:
        return measure_coverage(smoke)
    except (UnavailableError, ImportError):
        return {}
