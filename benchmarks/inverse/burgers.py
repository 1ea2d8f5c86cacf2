"""Burgers' inverse problem after Raissi: error against time of our PINN, DeepXDE, a plain PINN and a solver.

Each fit is a process of its own on one thread, its time that process's processor time, imports and compilation
included; on an accelerator it is wall time.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np

from benchmarks.inverse.apart import clock_options, run_apart
from benchmarks.inverse.burgers_data import NOISES, SPEED, VISCOSITY, samples
from benchmarks.inverse.pareto import Course, arm_figures, error_ratio, rms, time_ratio
from benchmarks.inverse.peers import need_deepxde

SEEDS, PEER_SEEDS = range(10), range(2)
CAP_S = 900.0
OURS = ("ours", "solver", "solver_known")
PEERS = ("deepxde", "plain")


def measure_burgers(smoke: bool) -> dict[str, Any]:
    """Return errors in speed and viscosity beside the Cramer-Rao bound, courses of all arms, and ratios to DeepXDE.

    Raises:
        UnavailableError: DeepXDE is not installed.
    """
    need_deepxde()
    noises = (0.01,) if smoke else NOISES
    cap_s = 8.0 if smoke else CAP_S
    jobs = _jobs(noises, smoke)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        courses = dict(zip(jobs, pool.map(lambda job: fit_apart(job[0], job[1], job[2], cap_s), jobs), strict=True))
    figures = {key: value for noise in noises for key, value in _figures(noise, courses).items()}
    # Courses cut after some seconds show that everything runs; who is faster they do not tell.
    return {key: value for key, value in figures.items() if not (smoke and key.startswith("ratio"))}


def fit_apart(arm: str, noise: float, seed: int, cap_s: float) -> Course:
    """Return the course of one fit in its own process: seconds, and relative errors of speed and viscosity."""
    found = run_apart("benchmarks.inverse.burgers_arm", arm, noise, seed, cap_s, *clock_options())
    errors = np.abs(np.asarray(found["estimates"]) / [SPEED, VISCOSITY] - 1.0)
    return Course(np.asarray(found["seconds"]), errors)


def _jobs(noises: tuple[float, ...], smoke: bool) -> list[tuple[str, float, int]]:
    ours = product(OURS, noises, range(1) if smoke else SEEDS)
    peers = product(PEERS, noises, range(1) if smoke else PEER_SEEDS)
    return [*peers, *ours]


def _figures(noise: float, courses: dict[tuple[str, float, int], Course]) -> dict[str, Any]:
    """Return the figures of one noise; errors are root mean squares over seeds, as fractions of the truth."""
    tag = f"{round(100 * noise)}pct"
    arms = {
        arm: [course for (name, level, _), course in courses.items() if (name, level) == (arm, noise)]
        for arm in (*OURS, *PEERS)
    }
    figures: dict[str, Any] = {}
    for arm, found in arms.items():
        figures |= arm_figures("burgers", ("speed", "viscosity"), f"{tag}_{arm}", found)
    if noise > 0.0:
        bound = rms([np.asarray(_bound(noise, seed)) for seed in SEEDS])
        figures[f"burgers_bound_{tag}"] = bound.tolist()
    figures[f"ratio_deepxde_burgers_time_{tag}"] = time_ratio(arms["deepxde"], arms["ours"])
    figures[f"ratio_deepxde_burgers_error_{tag}"] = error_ratio(arms["deepxde"], arms["ours"])
    return figures


def _bound(noise: float, seed: int) -> np.ndarray:
    from benchmarks.inverse.burgers_solver import cramer_rao

    return cramer_rao(samples(noise, seed), known_initial=False)
