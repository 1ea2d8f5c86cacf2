"""What a group does without a decision core: the funnel, and chance."""

import numpy as np

from benchmarks.decisions.answers import aligned, merit
from benchmarks.decisions.curves import Known, Query
from benchmarks.decisions.tasks import Task
from mfal.baselines.random import expected_eur


def funnel(known: Known, task: Task, batch: int, seed: int) -> list[Query]:
    """Screen everything at the cheapest fidelity, then measure down the ranking.

    Best candidates are ranked by the cheap value as it is. For a window the cheap value is corrected by a straight
    line through all paired answers, refitted at every step, and ranked by its distance to the middle of the window.
    Ties are broken by chance: tables are sorted by formula, which is no chance order.
    """
    unscreened = np.flatnonzero(~known.observed[:, 0])
    if unscreened.size:
        return [(int(candidate), 0) for candidate in unscreened]
    cheap = known.values[:, 0] if task.window is None else aligned(known, task)[:, 0]
    # A failed screening comes last.
    worth = np.nan_to_num(merit(cheap, task), nan=-np.inf)
    order = np.lexsort((np.random.default_rng(seed).random(len(worth)), -worth))
    left = order[~known.observed[order, task.target]]
    return [(int(candidate), task.target) for candidate in left[:batch]]


def at_random(known: Known, task: Task, batch: int, seed: int) -> list[Query]:
    """Measure candidates at the target in random order."""
    left = np.flatnonzero(~known.observed[:, task.target])
    random = np.random.default_rng((seed, int(known.observed.sum())))
    return [(int(candidate), task.target) for candidate in random.permutation(left)[:batch]]


def random_eur(task: Task) -> float:
    """Return the expected EUR to the goal by measuring in random order, the initial candidates included."""
    candidates, price = len(task.values) - task.initial, task.price_eur[task.target]
    return task.initial * sum(task.price_eur) + expected_eur(task.goal, int(task.hits.sum()), candidates, price)
