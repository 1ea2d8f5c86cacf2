"""What a bad cheap source costs: our money with it over our money without it, paired over drawn tasks."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.decisions.curves import ratio_interval, run_arm
from benchmarks.decisions.ours import Ours
from benchmarks.decisions.synthetic import synthetic_families
from benchmarks.decisions.tasks import Task, best_task, constant, flipped, permuted, target_only

# Shapes are the same for every task, so that the arm compiles once with and once without a cheap source.
POOL, TOP, GOAL, INITIAL, BATCH = 150, 10, 3, 5, 2
PRICE_EUR = (1.0, 300.0)
SEEDS, SMOKE_SEEDS = 50, 1

Source = Callable[[Task, int], Task]
SOURCES: dict[str, Source] = {
    "harm_ratio_permuted": permuted,
    "harm_ratio_flipped": lambda task, seed: flipped(task),
    "harm_ratio_constant": lambda task, seed: constant(task),
    "help_ratio": lambda task, seed: task,
}


def measure_harm(smoke: bool) -> dict[str, Any]:
    """Return mean money with each kind of cheap source over mean money at the target alone, with 95 % intervals."""
    drawn = [(task, seed) for seed in range(SMOKE_SEEDS if smoke else SEEDS) for task in small_tasks(seed)]
    alone = np.array([money(target_only(task), seed) for task, seed in drawn])
    figures: dict[str, Any] = {"harm_campaigns": len(drawn)}
    for name, source in SOURCES.items():
        found = ratio_interval(np.array([money(source(task, seed), seed) for task, seed in drawn]), alone)
        figures |= found.figures(name)
    return figures


def small_tasks(seed: int) -> list[Task]:
    """Return the first candidates of each family's task, at prices that tempt to ask the cheap source."""
    return [
        best_task(
            task.name,
            task.features[:POOL],
            task.values[:POOL],
            PRICE_EUR,
            top=TOP,
            sign=task.sign,
            goal=GOAL,
            initial=INITIAL,
        )
        for task in synthetic_families(seed)
    ]


def money(task: Task, seed: int) -> float:
    """Return the EUR that our arm spends to the goal, initial labels included."""
    return run_arm(Ours(), task, seed, BATCH, limit_eur=float("inf")).money_to_goal
