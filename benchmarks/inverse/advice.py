"""The advisor against what happens: every back end runs every situation, and the advised one has to be the best.

`python -m benchmarks.inverse.advice` runs all, each run in a process of its own; with the name of a situation and a
back end it makes that run and prints one line of JSON; `--judge FILE` reads such lines, however they were made.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.inverse.apart import run_apart
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
        case: name of the situation.
        backend: that was asked.
        error: root mean square of the relative errors of a and b; infinite where there is no trusted answer.
        answered: whether it gave rates and every check passed.
        seconds: wall time of the fit, compilation included.
        said: refusal, or the checks that failed, with the error of what was not trusted.
    """

    case: str
    backend: str
    error: float
    answered: bool
    seconds: float
    said: str


def main() -> int:
    """Run one situation, or judge many, from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.inverse.advice")
    parser.add_argument("name", nargs="?", help=", ".join(case.name for case in cases()))
    parser.add_argument("backend", nargs="?", choices=tuple(BACKENDS))
    parser.add_argument("--seed", type=int, default=0, help="of scene and noise")
    parser.add_argument("--judge", type=Path, metavar="LINES", help="judge the runs in a file of JSON lines")
    options = parser.parse_args()
    if options.name is None:
        lines = options.judge.read_text().splitlines() if options.judge else _side_by_side(cases())
        print(json.dumps(judged(cases(), lines)))
        return 0
    found = [case for case in cases() if case.name == options.name]
    if not found or options.backend is None:
        parser.error(f"give one of the situations and a back end: {parser.format_help()}")
    print(line(run(found[0], options.backend, options.seed)))
    return 0


def measure_advice(smoke: bool) -> dict[str, Any]:
    """Return how often the advisor is right, with a line for every situation and back end."""
    table = cases()[:3] + cases()[-4:] if smoke else cases()
    return judged(table, _side_by_side(table))


def run(case: Case, backend: str, seed: int = 0) -> Run:
    """Run one back end on one situation."""
    task, started = case.make(seed), time.perf_counter()
    try:
        estimate = fit(task.series, task.model, task.camera, initial=task.initial, backend=backend)
    except InferenceError as refusal:
        said = str(refusal).splitlines()[0][:80]
        return Run(case.name, backend, np.inf, False, time.perf_counter() - started, said)
    seconds = time.perf_counter() - started
    values = {quantity.symbol: quantity.value for quantity in estimate.identified}
    given = {"M kappa", "M W"} <= values.keys()
    error = _error(task, values) if given else np.inf
    if estimate.trusted and given:
        return Run(case.name, backend, error, True, seconds, "")
    failed = ", ".join(estimate.failed) or "rates not given"
    off = f"; rates off by {100 * error:.3g} %" if np.isfinite(error) else ""
    return Run(case.name, backend, np.inf, False, seconds, failed + off)


def line(done: Run) -> str:
    """Return one line of JSON, where an infinite error is null."""
    return json.dumps(asdict(done) | {"error": done.error if done.answered else None})


def read(line: str) -> Run:
    """Return the run that a line tells."""
    values = json.loads(line)
    return Run(**values | {"error": values["error"] if values["answered"] else np.inf})


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


def judged(table: Sequence[Case], lines: Iterable[str]) -> dict[str, Any]:
    """Return how many of the situations that were run with every back end were advised well."""
    runs = [read(line) for line in lines if line.startswith("{")]
    by_case = {case.name: [done for done in runs if done.case == case.name] for case in table}
    complete = [case for case in table if {done.backend for done in by_case[case.name]} == set(BACKENDS)]
    right = [judge(case, by_case[case.name]) for case in complete]
    return {"advisor_right": sum(right), "advisor_situations": len(right)}


def _side_by_side(table: Sequence[Case]) -> list[str]:
    """Return the lines of all runs, each in a process of its own, as many at once as there are cores."""
    pairs = [(case.name, backend) for case in table for backend in BACKENDS]

    def one(pair: tuple[str, str]) -> str:
        try:
            return json.dumps(run_apart("benchmarks.inverse.advice", *pair))
        except RuntimeError as crash:  # no answer, and no reason to lose those of the other runs
            return line(Run(*pair, np.inf, False, 0.0, f"crashed: {str(crash).splitlines()[-1]}"[:80]))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, pairs))


if __name__ == "__main__":
    sys.exit(main())
