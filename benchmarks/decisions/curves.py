"""Drive one arm over a replayed task and account for the money.

Protocol. An arm is a callable `propose(known, task, batch, seed) -> list of (candidate, fidelity)`, best first:

- `known` holds what has been paid for so far, nothing else; only `task.features`, `price_eur`, `window`, `top`,
  `sign`, `goal` and `target` may be read from the task. The arm must not look at `task.values` or `task.hits`.
- `batch` counts slots. One slot holds one query, or several cheaper ones that together cost no more than one query
  at the target, so a step costs at most `batch` target queries. Screening in one go is exempt.
- `seed` is the campaign's, the same at every step. A stateless arm derives its own stream from (seed, paid queries);
  a stateful one is a fresh callable for every campaign.
- No query twice, and an empty list gives up.

Answers are immediate. Queries are paid in the order proposed, and the campaign ends with the one that reaches the
goal. Every arm starts from the same `initial` candidates, drawn by seed among those that are no hits, answered at
every fidelity and paid for. Without hits among them the k-th find has the same meaning for every seed and arm.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.decisions.tasks import Task


@dataclass(frozen=True)
class Known:
    """What an arm has paid for.

    Attributes:
        observed: queries answered or failed, (candidates, fidelities).
        values: answers; NaN where there is none, (candidates, fidelities).
    """

    observed: np.ndarray
    values: np.ndarray

    @property
    def answered(self) -> np.ndarray:
        """Return the queries that have a number for an answer."""
        return np.isfinite(self.values)


Query = tuple[int, int]
Propose = Callable[[Known, Task, int, int], list[Query]]


@dataclass(frozen=True)
class Curve:
    """One campaign.

    Attributes:
        queries: (candidate, fidelity, price in EUR) in the order paid, the initial ones left out.
        initial_eur: money for the initial candidates.
        hit_eur: money spent when each hit was measured, initial candidates included.
        goal: hits that end the campaign.
    """

    queries: tuple[tuple[int, int, float], ...]
    initial_eur: float
    hit_eur: tuple[float, ...]
    goal: int

    @property
    def money_to_goal(self) -> float:
        """Return the EUR spent when the goal was reached, infinite if it was not."""
        return self.hit_eur[self.goal - 1] if len(self.hit_eur) >= self.goal else float("inf")

    @property
    def spent_eur(self) -> float:
        """Return all the EUR spent."""
        return self.initial_eur + sum(price for _, _, price in self.queries)


@dataclass(frozen=True)
class Ratio:
    """A ratio of mean costs, ours over theirs, with its 95 % interval."""

    ratio: float
    low: float
    high: float

    def figures(self, name: str) -> dict[str, float]:
        """Return the ratio under a name, and its interval under that with `_low` and `_high`."""
        return {name: round(self.ratio, 3), f"{name}_low": round(self.low, 3), f"{name}_high": round(self.high, 3)}


def run_arm(propose: Propose, task: Task, seed: int, batch: int, limit_eur: float) -> Curve:
    """Run one campaign until its goal, its limit, or until the arm gives up."""
    known, queries, hit_eur = begin(task, seed), [], []
    initial_eur = spent = task.initial * sum(task.price_eur)
    while len(hit_eur) < task.goal and spent < limit_eur:
        proposed = propose(known, task, batch, seed)
        if not proposed:
            break
        for candidate, fidelity in proposed:
            _pay(known, task, candidate, fidelity)
            queries.append((candidate, fidelity, task.price_eur[fidelity]))
            spent += task.price_eur[fidelity]
            if fidelity == task.target and task.hits[candidate]:
                hit_eur.append(spent)
            if len(hit_eur) == task.goal or spent >= limit_eur:
                break
    return Curve(tuple(queries), initial_eur, tuple(hit_eur), task.goal)


def begin(task: Task, seed: int) -> Known:
    """Return what every arm knows before its first decision."""
    chosen = np.random.default_rng(seed).choice(np.flatnonzero(~task.hits), task.initial, replace=False)
    observed = np.zeros(task.values.shape, dtype=bool)
    observed[chosen] = True
    return Known(observed, np.where(observed, task.values, np.nan))


def ratio_interval(ours: np.ndarray, theirs: np.ndarray, draws: int = 10_000, seed: int = 0) -> Ratio:
    """Return mean(ours) / mean(theirs) with the paired bootstrap interval over seeds (percentiles)."""
    ours, theirs = np.asarray(ours, float), np.asarray(theirs, float)
    if ours.shape != theirs.shape or not (np.isfinite(ours).all() and np.isfinite(theirs).all()):
        raise ValueError("the campaigns must be paired and all have reached their goal: raise the limit")
    drawn = np.random.default_rng(seed).integers(len(ours), size=(draws, len(ours)))
    low, high = np.quantile(ours[drawn].mean(axis=1) / theirs[drawn].mean(axis=1), [0.025, 0.975])
    return Ratio(float(ours.mean() / theirs.mean()), float(low), float(high))


def _pay(known: Known, task: Task, candidate: int, fidelity: int) -> None:
    if known.observed[candidate, fidelity]:
        raise ValueError(f"{candidate=} {fidelity=} has been paid for already")
    known.observed[candidate, fidelity] = True
    known.values[candidate, fidelity] = task.values[candidate, fidelity]
