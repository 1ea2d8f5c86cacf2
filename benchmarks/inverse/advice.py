"""The advisor against what happens: every back end runs every situation, and the advised one has to be the best."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.inverse.situations import Case, Task, cases
from pinn.advisor import advise
from pinn.errors import InferenceError
from pinn.phase_field.fit import BACKENDS, fit

# An error so many times the best one is as good: repeats with another noise differ by more.
_AS_GOOD = 1.5
# Where errors are as good, a back end that takes so many times as long is not.
_AS_FAST = 2.0


@dataclass(frozen=True)
class Run:
    """What one back end made of one situation.

    Attributes:
        error: root mean square of the relative errors of a and b; infinite where there is no trusted answer.
        answered: whether it gave rates and every check passed.
        said: refusal, or the checks that failed.
    """

    backend: str
    error: float
    answered: bool
    seconds: float
    said: str


def measure_advice(smoke: bool) -> dict[str, Any]:
    """Return how often the advisor is right, with a line for every situation and back end."""
    table = cases()[:3] + cases()[-4:] if smoke else cases()
    right = [judge(case, [run(case, name) for name in BACKENDS]) for case in table]
    return {"advisor_right": sum(right), "advisor_situations": len(right)}


def run(case: Case, backend: str, seed: int = 0) -> Run:
    """Run one back end on one situation."""
    task, started = case.make(seed), time.perf_counter()
    try:
        estimate = fit(task.series, task.model, task.camera, initial=task.initial, backend=backend)
    except InferenceError as refusal:
        return Run(backend, np.inf, False, time.perf_counter() - started, str(refusal).splitlines()[0][:80])
    seconds = time.perf_counter() - started
    values = {quantity.symbol: quantity.value for quantity in estimate.identified}
    answered = estimate.trusted and {"M kappa", "M W"} <= values.keys()
    failed = ", ".join(check.name for check in estimate.checks if not check.passed)
    return Run(backend, _error(task, values) if answered else np.inf, answered, seconds, failed)


def judge(case: Case, runs: Sequence[Run]) -> bool:
    """Return whether the advice was right, and print what it is judged by."""
    advised = advise(case.situation).backend
    right = _right(advised, runs)
    print(f"{case.name}: advised {advised}, {'right' if right else 'WRONG'}")
    for done in runs:
        error = f"{100 * done.error:.2f} %" if done.answered else f"no trusted answer ({done.said})"
        print(f"  {done.backend:7} {error}, {done.seconds:.1f} s")
    return right


def _right(advised: str, runs: Sequence[Run]) -> bool:
    """An advised back end must be as good as the best, and as fast as those that are; no back end, if none answers."""
    if advised == "none":
        return not any(done.answered for done in runs)
    chosen = next(done for done in runs if done.backend == advised)
    if not chosen.answered:
        return False
    best = min(done.error for done in runs)
    fastest = min(done.seconds for done in runs if done.error <= _AS_GOOD * best)
    return chosen.error <= _AS_GOOD * best and chosen.seconds <= _AS_FAST * fastest


def _error(task: Task, values: dict[str, float]) -> float:
    """Return the error of an answer; there is no right one where there are no rates."""
    if task.rates is None:
        return np.inf
    found = np.array([values["M kappa"], values["M W"]])
    return float(np.sqrt(np.mean((found / np.array(task.rates) - 1.0) ** 2)))
