"""Feasible designs per second, ours and the peers', at 7, 10 and 15 components.

Two sets: `bounds` (every element between .01 and .35) and, the headline, bounds and cardinality (at most five elements,
each present one between .02 and .5). All draw from the second in the same way: a support, then uniform on it.

BoTorch's hit-and-run sampler knows bounds and a sum, not cardinality. Who needs that draws a support and makes a
sampler for it; here 20 designs for each support drawn, which is generous: its burn-in is paid once for them. With
bounds alone its burn-in is paid once for all. Both keep BoTorch's own thinning of 20 and burn-in of 200, so its
neighbours are correlated, where ours are independent. Rejection, as in Ax: all components but one at random in their
box, kept if the last one fits; vectorised in NumPy, so without Ax's overhead, and at 7 components with loose bounds
faster than any chain. Times are of calls after the first, compiled; making our sampler (linear programs and lists) is
`build_s`.
"""

import time
import warnings
from collections.abc import Callable

import jax
import numpy as np
import torch
from botorch.utils.sampling import HitAndRunPolytopeSampler

from benchmarks.timing import seconds_of, timed
from mfal.constraints.cardinality import Cardinality, SparseDesigns
from mfal.constraints.polytope import Polytope

SIZES = (7, 10, 15)
LOWER, UPPER = 0.01, 0.35
MOST, PRESENT, GREATEST = 5, 0.02, 0.5
# Designs for each support, thinning and burn-in of the peer (the last two are its defaults).
EACH, THINNING, BURN_IN = 20, 20, 200
_EXACT = 1e-9


def measure_sampling(smoke: bool) -> dict[str, object]:
    """Return rates, ratios and what was invalid; all in one process, one after another."""
    ours, theirs, seconds = (20_000, 100, 0.2) if smoke else (1_000_000, 2_000, 5.0)
    figures: dict[str, object] = {}
    wrong, peer_wrong = 0, 0
    for size in SIZES:
        for name, found in {"": _few(size, ours, theirs), "bounds_": _bounded(size, ours, theirs, seconds)}.items():
            wrong, peer_wrong = wrong + found.pop("invalid"), peer_wrong + found.pop("peer_invalid")
            figures |= {f"{name}{key}_{size}d": round(value, 3) for key, value in found.items()}
            ratio = found["samples_per_s"] / found["botorch_samples_per_s"]
            figures[f"{name}sampling_ratio_{size}d"] = round(ratio, 1)
    checked = 2 * len(SIZES) * ours
    return {
        "invalid_in_1e6": wrong * 1e6 / checked,
        "designs_checked": checked,
        "botorch_invalid": peer_wrong,
    } | figures


def _few(size: int, ours: int, theirs: int) -> dict:
    """Return the rates with bounds and cardinality."""
    names = [f"X{i}" for i in range(size)]
    bounded = lambda: Polytope.simplex(names, {}, dict.fromkeys(names, GREATEST))  # noqa: E731
    build, designs = timed(lambda: SparseDesigns.of(bounded(), Cardinality.between(1, MOST, PRESENT)))
    x, rate = _rate(designs.sample, ours)
    seconds, y = timed(lambda: _per_support(np.asarray(designs.supports), theirs))
    wrong = lambda x: _invalid(x, GREATEST) + int(((x > 0.0) & (x < PRESENT)).any(axis=1).sum())  # noqa: E731
    many = lambda x: int(((x > 0.0).sum(axis=1) > MOST).sum())  # noqa: E731
    return {
        "samples_per_s": rate,
        "botorch_samples_per_s": len(y) / seconds,
        "build_s": build,
        "invalid": wrong(x) + many(x),
        "peer_invalid": wrong(y) + many(y),
    }


def _bounded(size: int, ours: int, theirs: int, seconds: float) -> dict:
    """Return the rates with bounds alone."""
    names = [f"X{i}" for i in range(size)]
    bounds = dict.fromkeys(names, LOWER), dict.fromkeys(names, UPPER)
    build, polytope = timed(lambda: Polytope.simplex(names, *bounds))
    x, rate = _rate(polytope.sample, ours)
    taken, y = timed(lambda: _hit_and_run(size, LOWER, UPPER, theirs, 0))
    return {
        "samples_per_s": rate,
        "botorch_samples_per_s": len(y) / taken,
        "rejection_samples_per_s": _rejection(size, seconds),
        "build_s": build,
        "invalid": _invalid(x, UPPER) + int((x < LOWER).any(axis=1).sum()),
        "peer_invalid": _invalid(y, UPPER) + int((y < LOWER - _EXACT).any(axis=1).sum()),
    }


def _rate(sample: Callable, count: int) -> tuple[np.ndarray, float]:
    """Return designs and how many come a second, the best of three calls after the first."""
    draw = lambda seed: jax.block_until_ready(sample(count, jax.random.key(seed)))  # noqa: E731
    x = np.asarray(draw(0))
    return x, count / seconds_of(lambda: draw(1), repeats=3)


def _invalid(x: np.ndarray, upper: float) -> int:
    """Return how many designs miss their sum or their upper bound by more than 1e-9, or are negative or no numbers."""
    sums = np.abs(x.sum(axis=1) - 1.0) <= _EXACT
    return int((~(sums & (x >= -_EXACT).all(axis=1) & (x <= upper + _EXACT).all(axis=1))).sum())


def _hit_and_run(size: int, lower: float, upper: float, count: int, seed: int) -> np.ndarray:
    """Return designs by BoTorch's sampler, which is made here."""
    box = torch.tensor([[lower] * size, [upper] * size], dtype=torch.double)
    whole = torch.ones(1, size, dtype=torch.double), torch.ones(1, 1, dtype=torch.double)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = HitAndRunPolytopeSampler(
            bounds=box, equality_constraints=whole, n_burnin=BURN_IN, n_thinning=THINNING, seed=seed
        )
        return sampler.draw(count).numpy()


def _per_support(supports: np.ndarray, count: int) -> np.ndarray:
    """Return designs with few elements: some for each of the supports drawn."""
    rng, parts = np.random.default_rng(0), []
    for seed in range(-(-count // EACH)):
        support = supports[rng.integers(len(supports))]
        x = np.zeros((EACH, len(support)))
        x[:, support] = _hit_and_run(int(support.sum()), PRESENT, GREATEST, EACH, seed)
        parts.append(x)
    return np.concatenate(parts)


def _rejection(size: int, seconds: float, block: int = 100_000) -> float:
    """Return how many designs with bounds come a second by rejection; zero if none came."""
    rng, kept, started = np.random.default_rng(0), 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        last = 1.0 - rng.uniform(LOWER, UPPER, (block, size - 1)).sum(axis=1)
        kept += int(((last >= LOWER) & (last <= UPPER)).sum())
    return kept / (time.perf_counter() - started)
