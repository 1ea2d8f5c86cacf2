"""Simulated campaigns a minute, drawing the worlds included, compilation not."""

import time
from dataclasses import dataclass
from typing import Any

import jax

from benchmarks.whatif.tasks import timed_campaign
from mfal.whatif.simulate import first_moment
from mfal.whatif.study import study

CANDIDATES, DECISIONS, REFIT_EVERY = 500, 60, 10
LARGE, BATCH, LARGE_DECISIONS = 2000, 8, 30
# Campaigns of a timed study: some parts for every core, or what fills an accelerator.
ON_PROCESSOR, ON_ACCELERATOR = 1024, 65536


@dataclass(frozen=True)
class TopFive:
    """The five lowest values of a world."""

    sign: float = 1.0
    top: int | None = 5
    window: tuple[float, float] | None = None


def measure_speed(smoke: bool) -> dict[str, Any]:
    """Return campaigns a minute: frozen hyper-parameters in both precisions, with refits, and a larger pool."""
    accelerated = jax.default_backend() != "cpu"
    many = 32 if smoke else ON_ACCELERATOR if accelerated else ON_PROCESSOR
    size, steps = (60, 5) if smoke else (CANDIDATES, DECISIONS)
    double, single = (_per_minute(size, 1, many, steps, single=single) for single in (False, True))
    figures: dict[str, Any] = {
        "campaigns_per_min": round(max(double, single)),
        "campaigns_per_min_double": round(double),
        "campaigns_per_min_single": round(single),
    }
    few = 32 if smoke else 4096 if accelerated else 64
    refit = _per_minute(size, 1, few, steps, single=accelerated, refit_every=2 if smoke else REFIT_EVERY)
    figures["campaigns_per_min_refit"] = round(refit)
    size, steps = (60, 2) if smoke else (LARGE, LARGE_DECISIONS)
    figures["campaigns_per_min_2000_batch8"] = round(_per_minute(size, BATCH, few, steps, single=accelerated))
    return figures


def _per_minute(size: int, batch: int, campaigns: int, steps: int, single: bool, refit_every: int = 0) -> float:
    """Return the rate of a study's second run: the first one compiles."""
    policy, state = timed_campaign(size, batch)
    start, seconds = first_moment(policy, state), 0.0
    for seed in range(2):
        begin = time.perf_counter()
        study(policy, start, TopFive(), campaigns, steps, seed, refit_every=refit_every, single=single)
        seconds = time.perf_counter() - begin
    return 60.0 * campaigns / seconds
