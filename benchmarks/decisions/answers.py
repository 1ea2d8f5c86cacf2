"""Turn what a campaign knows into training rows for a peer, as a careful practitioner would."""

from dataclasses import dataclass

import numpy as np

from benchmarks.decisions.curves import Known
from benchmarks.decisions.tasks import Task


@dataclass(frozen=True)
class Rows:
    """Answers of all fidelities in order of importance.

    Attributes:
        candidate: whose answers they are, (rows,).
        fidelity: index of the fidelity of each, (rows,).
        outcome: standardised answers, (rows,).
        mean: what was subtracted from the outcomes of the target.
        spread: what the outcomes of the target were divided by.
    """

    candidate: np.ndarray
    fidelity: np.ndarray
    outcome: np.ndarray
    mean: float
    spread: float

    def first(self, count: int) -> "Rows":
        """Return the `count` most important rows."""
        kept = slice(count)
        return Rows(self.candidate[kept], self.fidelity[kept], self.outcome[kept], self.mean, self.spread)


def calibration(cheap: np.ndarray, target: np.ndarray) -> tuple[float, float]:
    """Return slope and intercept of the least-squares line of the target on the cheap value.

    Answers without a partner are left out; a cheap source without spread has slope 0.
    """
    paired = np.isfinite(cheap) & np.isfinite(target)
    x, y = cheap[paired], target[paired]
    spread = float(np.var(x)) if x.size > 1 else 0.0
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if spread > 1e-12 else 0.0
    return slope, float(y.mean() - slope * x.mean()) if y.size else 0.0


def aligned(known: Known, task: Task) -> np.ndarray:
    """Return the answers in units of the target, (candidates, fidelities), NaN where there is none."""
    target = known.values[:, task.target]
    columns = [target]
    for fidelity in range(task.target - 1, -1, -1):
        slope, intercept = calibration(known.values[:, fidelity], target)
        columns.insert(0, intercept + slope * known.values[:, fidelity])
    return np.column_stack(columns)


def merit(values: np.ndarray, task: Task) -> np.ndarray:
    """Return how good target values are, the highest best: for a window minus the distance to its middle."""
    return -task.sign * values if task.window is None else -np.abs(values - 0.5 * sum(task.window))


def rows(outcomes: np.ndarray, merits: np.ndarray, task: Task, seed: int, by_level: bool = False) -> Rows:
    """Return standardised training rows.

    The target's answers come first, then the cheap answers of the same candidates, then the cheap answers that
    promise most, alternating with random ones.

    Args:
        outcomes: what is modelled, (candidates, fidelities), NaN where unknown.
        merits: `merit` of the aligned answers, of the same shape.
        task: the campaign's task.
        seed: decides which cheap answers are the random ones.
        by_level: standardise each fidelity on its own.
    """
    candidate, fidelity = np.nonzero(np.isfinite(outcomes))
    outcome, paired = outcomes[candidate, fidelity], np.isfinite(outcomes[candidate, task.target])
    group = np.where(fidelity == task.target, 0, np.where(paired, 1, 2))
    order = np.lexsort((_alternating(merits[candidate, fidelity], seed), group))
    mean, spread = _scales(outcome, fidelity, task, by_level)
    standard = (outcome - mean[fidelity]) / spread[fidelity]
    target = float(mean[task.target]), float(spread[task.target])
    return Rows(candidate[order], fidelity[order], standard[order], *target)


def unit_cube(features: np.ndarray) -> np.ndarray:
    """Scale columns to 0 to 1 over the pool; a constant column becomes 0."""
    width = np.ptp(features, axis=0)
    return (features - features.min(axis=0)) / np.where(width > 0.0, width, 1.0)


def _scales(outcome: np.ndarray, fidelity: np.ndarray, task: Task, by_level: bool) -> tuple[np.ndarray, np.ndarray]:
    count = len(task.price_eur)
    chosen = [outcome[(fidelity == level) | (not by_level)] for level in range(count)]
    mean = np.array([part.mean() if part.size else 0.0 for part in chosen])
    spread = np.array([part.std(ddof=1) if part.size > 1 else 1.0 for part in chosen])
    return mean, np.where(spread > 1e-8, spread, 1.0)


def _alternating(merits: np.ndarray, seed: int) -> np.ndarray:
    """Return a rank that is the rank by merit for a random half and a random rank for the other."""
    random = np.random.default_rng(seed)
    by_merit = np.argsort(np.argsort(-merits, kind="stable"), kind="stable").astype(float)
    by_chance = random.permutation(len(merits)) + 0.5
    return np.minimum(by_merit, by_chance)
