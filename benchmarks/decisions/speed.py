"""What one decision costs BoTorch: fit, multi-fidelity max-value entropy and expected improvement over a pool."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from benchmarks.decisions.curves import Known
from benchmarks.decisions.tasks import Task, best_task

# Candidates that a pass is timed on where the whole pool would take minutes, and with measurements pending.
SAMPLE, PENDING_SAMPLE = 5_000, 128
Result = TypeVar("Result")


@dataclass(frozen=True)
class PeerDecision:
    """Wall time of the parts of one decision of BoTorch, in s, and what it found.

    Attributes:
        fit: hyper-parameters of the entropy's model.
        entropy_pass: the entropy of the whole pool at all fidelities, nothing pending, maxima sampled.
        sampled: whether the entropy pass is scaled up from `SAMPLE` candidates.
        pending_pass: the same with one measurement pending (16 fantasies), scaled up from `PENDING_SAMPLE` candidates.
        improvement_fit: hyper-parameters of the improvement's model.
        improvement_pass: augmented expected improvement of the whole pool at all fidelities; one pass is a batch.
        threads: that torch was given, the faster of one and all cores.
        entropy: information per EUR of the scored candidates at each fidelity, minus infinity where asked already.
        moments: mean and deviation of the scored candidates at the target and each fidelity's correlation with it, as
            the entropy's model has them.
        noise: variance of an answer in that model.
    """

    fit: float
    entropy_pass: float
    sampled: bool
    pending_pass: float
    improvement_fit: float
    improvement_pass: float
    threads: int
    entropy: np.ndarray
    moments: tuple[np.ndarray, np.ndarray, np.ndarray]
    noise: float

    def greedy(self, batch: int) -> float:
        """Return the time of a batch at one pass a member, each as cheap as the first: nothing pending."""
        return batch * self.entropy_pass

    def stock_greedy(self, batch: int) -> float:
        """Return the time of a batch as stock BoTorch finds it: what is chosen already is fantasised."""
        return self.entropy_pass + (batch - 1) * self.pending_pass


def botorch_decision(task: Task, known: Known, whole: bool) -> PeerDecision:
    """Time one decision after the `known` answers; the entropy on a sample of the pool unless on the `whole`."""
    from benchmarks.decisions import peers

    points, outcomes = peers.unit_cube(task.features), peers.merit(peers.aligned(known, task), task)
    fit, model = timed(lambda: peers.fit_multi_fidelity(peers.rows(outcomes, outcomes, task, 0), points, task))
    remaining = points[~known.observed[:, task.target]]
    prepare, acquisition = timed(lambda: peers.entropy_per_eur(model, remaining, task))
    # A sample takes every k-th candidate, so that it holds asked and open ones alike.
    some = points if whole else points[:: max(1, len(points) // SAMPLE)]
    numbers = [float(number) for number in peers.fidelity_numbers(task)]
    score = lambda part: np.column_stack([peers.score(acquisition, part, number) for number in numbers])  # noqa: E731
    threads = _faster_threads(lambda: score(some[:PENDING_SAMPLE]))
    entropy, scores = timed(lambda: score(some))
    acquisition.set_X_pending(peers.with_column(points[:1], 1.0))
    pending, _ = timed(lambda: score(some[:PENDING_SAMPLE]))
    data = peers.rows(outcomes, outcomes, task, 0, by_level=True)
    improvement_fit, other = timed(lambda: peers.fit_multi_task(data, points, task))
    improvement, _ = timed(lambda: peers.joint_moments(other, points, task))
    return PeerDecision(
        fit=fit,
        entropy_pass=prepare + entropy * len(points) / len(some),
        sampled=len(some) < len(points),
        pending_pass=pending * len(points) / len(some[:PENDING_SAMPLE]),
        improvement_fit=improvement_fit,
        improvement_pass=improvement,
        threads=threads,
        entropy=np.where(known.observed, -np.inf, scores) if whole else scores,
        moments=peers.joint_moments(model, some, task, numbers),
        noise=peers.noise_variance(model),
    )


def campaign(pool: int, cheap: int, dear: int, features: int) -> tuple[Task, Known]:
    """Return a pool with smooth and individual parts, a correlated cheap source, and its first answers."""
    random = np.random.default_rng(0)
    positions, weights = random.standard_normal((pool, features)), random.standard_normal((features, 3))
    direction = positions @ (weights / np.sqrt(features))
    smooth = np.sin(direction[:, 0]) + 0.5 * direction[:, 1]
    screened = smooth + 0.1 * random.standard_normal(pool)
    target = 0.9 * screened + 0.2 * np.cos(direction[:, 2]) + 0.05 * random.standard_normal(pool)
    values = np.column_stack([screened, target])
    task = best_task("speed", positions, values, (1.0, 300.0), top=10, sign=1.0, goal=5, initial=dear)
    observed = np.column_stack([np.arange(pool) < cheap, np.arange(pool) < dear])
    return task, Known(observed, np.where(observed, values, np.nan))


def timed(work: Callable[[], Result]) -> tuple[float, Result]:
    """Return the wall time in s and the result."""
    started = time.perf_counter()
    result = work()
    return time.perf_counter() - started, result


def _faster_threads(work: Callable[[], object]) -> int:
    """Give torch one thread or one a core, whichever is faster at `work`; return how many."""
    import torch

    seconds = {}
    for threads in {1, os.cpu_count() or 1}:
        torch.set_num_threads(threads)
        work()
        seconds[threads] = timed(work)[0]
    best = min(seconds, key=lambda threads: seconds[threads])
    torch.set_num_threads(best)
    return best
