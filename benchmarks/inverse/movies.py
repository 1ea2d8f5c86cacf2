"""Two movies beside DeepXDE: error of the rates against time of our three back ends, DeepXDE and a plain PINN.

Each fit is a process of its own on one thread, its time that process's processor time, imports and compilation
included; on an accelerator it is wall time.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np

from benchmarks.inverse.apart import clock_options, run_apart
from benchmarks.inverse.movie_data import movie
from benchmarks.inverse.pareto import Course, arm_figures, error_ratio, time_ratio
from benchmarks.inverse.peers import need_deepxde

NOISES = {"morphology": 0.05, "separation": 0.02}
SEEDS = {"solver": 10, "field": 10, "pinn": 2, "deepxde": 2, "plain": 1}
CAP_S = 900.0


def measure_movies(smoke: bool) -> dict[str, Any]:
    """Return errors of M kappa and M W, courses of all arms, and ratios to DeepXDE.

    Raises:
        UnavailableError: DeepXDE is not installed.
    """
    need_deepxde()
    arms = ("solver", "field", "deepxde") if smoke else tuple(SEEDS)
    jobs = [(arm, name, seed) for arm, name in product(arms, NOISES) for seed in range(1 if smoke else SEEDS[arm])]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        courses = dict(zip(jobs, pool.map(lambda job: fit_apart(job[0], job[1], job[2], smoke), jobs), strict=True))
    figures = {key: value for name in NOISES for key, value in _figures(name, courses).items()}
    # Courses cut after some seconds show that everything runs; who is faster they do not tell.
    return {key: value for key, value in figures.items() if not (smoke and key.startswith("ratio"))}


def fit_apart(arm: str, name: str, seed: int, smoke: bool) -> Course:
    """Return the course of one fit in its own process: seconds, and relative errors of M kappa and M W."""
    small = ["--small"] if smoke else []
    cap_s, options = 8.0 if smoke else CAP_S, (*clock_options(), *small)
    found = run_apart("benchmarks.inverse.movie_arm", arm, name, NOISES[name], seed, cap_s, *options)
    rates = movie(name, NOISES[name], seed, smoke).rates
    return Course(np.asarray(found["seconds"]), np.abs(np.asarray(found["estimates"]) / rates - 1.0))


def _figures(name: str, courses: dict[tuple[str, str, int], Course]) -> dict[str, Any]:
    """Return the figures of one movie; errors are root mean squares over seeds, as fractions of the truth."""
    arms = {
        arm: found for arm in SEEDS if (found := [one for (a, m, _), one in courses.items() if (a, m) == (arm, name)])
    }
    figures: dict[str, Any] = {}
    for arm, found in arms.items():
        figures |= arm_figures(name, ("mk", "mw"), arm, found)
    for arm in ("solver", "field", "pinn"):
        if arm in arms:
            figures[f"ratio_deepxde_{name}_time_{arm}"] = time_ratio(arms["deepxde"], arms[arm])
            figures[f"ratio_deepxde_{name}_error_{arm}"] = error_ratio(arms["deepxde"], arms[arm])
    return figures
