"""The same worlds without mfal: the funnel, random order, and the target alone.

The funnel is that of `mfal.baselines.funnel`, over all worlds at once: it screens everything at the cheapest fidelity,
and measures down that ranking; for a window the screening is corrected by what has been measured so far.
"""

from collections.abc import Callable

import jax
import numpy as np
import pandas as pd

from mfal.campaign.goal import Goal
from mfal.whatif.scenario import never_content, target_alone
from mfal.whatif.setting import Setting
from mfal.whatif.study import aim

OURS, SINGLE, FUNNEL, RANDOM = "mfal", "target alone", "funnel", "random"


def rivals(setting: Setting, budgets_eur: np.ndarray, seed: int) -> pd.DataFrame:
    """Return hits by budget of a campaign as planned and of what a group would do without it, in the same worlds.

    All go on from the start of the study. The target alone is the same policy with every other fidelity forbidden, and
    what the target requires waived; as the funnel and random order it goes on while there is money, which favours it.
    The funnel is left out if there is nothing to screen with.

    Args:
        setting: of the study.
        budgets_eur: all that may be spent.
        seed: of the random orders.

    Returns:
        Index eur. Columns (method, statistic) with the statistics mean, low_80 and high_80 of hits; the mean of random
        order is its exact expectation in the worlds drawn.
    """
    budgets = np.asarray(budgets_eur, dtype=float)
    alone = setting.outcomes(never_content(target_alone(setting.policy)))
    found = {
        OURS: setting.base.hits_within(setting.base.spent_eur, budgets),
        SINGLE: alone.hits_within(alone.spent_eur, budgets),
    }
    if setting.lower:
        found[FUNNEL] = _funnel(setting, budgets)
    found[RANDOM] = _random(setting, budgets, np.random.default_rng(seed))
    parts = {name: _statistics(hits) for name, hits in found.items()}
    parts[RANDOM]["mean"] = _expected(setting, budgets)
    return pd.concat({name: pd.DataFrame(part, index=pd.Index(budgets, name="eur")) for name, part in parts.items()},
                     axis=1)  # fmt: skip


def funnel_orders(screened: np.ndarray, measured: np.ndarray, goal: Goal, most: int) -> np.ndarray:
    """Return the candidates in the order of measurement in every world, shape (worlds, most); -1 where none is left.

    Args:
        screened: value of the screening, shape (worlds, candidates); NaN where it failed.
        measured: what a measurement gives, likewise.
        goal: says which values are good.
        most: measurements.
    """
    if goal.window is None:
        order = np.argsort(np.where(np.isfinite(screened), goal.sign * screened, np.inf), axis=1, kind="stable")
        left = np.arange(screened.shape[1]) < np.isfinite(screened).sum(axis=1, keepdims=True)
        return np.where(left, order, -1)[:, :most]
    return _corrected(screened, measured, 0.5 * (goal.window[0] + goal.window[1]), most)


# Pairs from which the screening is corrected by a straight line; with fewer, by their mean difference.
_LINE = 3


def _corrected(screened: np.ndarray, measured: np.ndarray, centre: float, most: int) -> np.ndarray:
    worlds, size = screened.shape
    rows = np.arange(worlds)
    left, paired = np.isfinite(screened), np.zeros((worlds, size), dtype=bool)
    order = np.full((worlds, min(most, size)), -1)
    x, y = np.where(left, screened, 0.0), np.where(np.isfinite(measured), measured, 0.0)
    for rank in range(order.shape[1]):
        slope, offset = _lines(x, y, paired)
        distance = np.where(left, np.abs(offset[:, None] + slope[:, None] * x - centre), np.inf)
        best = np.argmin(distance, axis=1)
        any_left = left.any(axis=1)
        order[:, rank] = np.where(any_left, best, -1)
        paired[rows, best] |= any_left & np.isfinite(measured)[rows, best]
        left[rows, best] = False
    return order


def _lines(x: np.ndarray, y: np.ndarray, paired: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return slope and offset of y on x over the pairs of every world."""
    count = np.maximum(paired.sum(axis=1), 1)
    mean: Callable = lambda values: np.where(paired, values, 0.0).sum(axis=1) / count  # noqa: E731
    x_mean, y_mean = mean(x), mean(y)
    spread = mean((x - x_mean[:, None]) ** 2)
    shared = mean((x - x_mean[:, None]) * (y - y_mean[:, None]))
    line = (paired.sum(axis=1) >= _LINE) & (spread > 1e-12 * (1.0 + mean(x**2)))
    slope = np.where(line, shared / np.where(line, spread, 1.0), 1.0)
    return slope, np.where(paired.any(axis=1), y_mean - slope * x_mean, 0.0)


def _funnel(setting: Setting, budgets: np.ndarray) -> np.ndarray:
    price, status = np.asarray(setting.policy.price_eur), setting.start.state.dataset
    level = min(setting.lower, key=lambda index: price[index])
    open_ = _open(setting)
    screened = np.where(
        np.asarray(setting.worlds.failed)[..., level], np.nan, np.asarray(setting.worlds.value)[..., level]
    )
    failed = np.asarray(setting.worlds.failed)[..., setting.policy.target]
    measured = np.where(failed, np.nan, np.asarray(setting.worlds.value)[..., setting.policy.target])
    screening = price[level] * float(np.sum(~np.asarray(status.asked)[:, level]))
    order = funnel_orders(np.where(open_, screened, np.nan), measured, setting.goal, int(open_.sum()))
    return _found(setting, order, budgets - screening)


def _random(setting: Setting, budgets: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    open_ = np.flatnonzero(_open(setting))
    order = rng.permuted(np.tile(open_, (setting.worlds.value.shape[0], 1)), axis=1)
    return _found(setting, order, budgets)


def _expected(setting: Setting, budgets: np.ndarray) -> np.ndarray:
    hits, open_ = _hits(setting), _open(setting)
    count = np.minimum(_affordable(setting, budgets), open_.sum())
    in_hand, to_find = (hits & ~open_).sum(axis=1).mean(), (hits & open_).sum(axis=1).mean()
    return in_hand + to_find * count / max(open_.sum(), 1)


def _found(setting: Setting, order: np.ndarray, budgets: np.ndarray) -> np.ndarray:
    """Return the hits in every world, shape (worlds, budgets), once what each budget pays for has been measured."""
    hits, open_ = _hits(setting), _open(setting)
    in_order = np.where(order >= 0, np.take_along_axis(hits, np.maximum(order, 0), axis=1), False)
    running = np.pad(np.cumsum(in_order, axis=1), ((0, 0), (1, 0)))
    count = np.minimum(_affordable(setting, budgets), order.shape[1])
    return (hits & ~open_).sum(axis=1)[:, None] + running[:, count]


def _affordable(setting: Setting, budgets: np.ndarray) -> np.ndarray:
    """Return the measurements that each budget pays for, beyond what has been paid or is in flight."""
    state, price = setting.start.state, np.asarray(setting.policy.price_eur)
    committed = float(state.spent_eur) + float(np.sum(np.asarray(state.dataset.pending).sum(axis=0) * price))
    each = max(price[setting.policy.target], 1e-9)
    size = state.dataset.status.shape[0]
    return np.clip(np.floor((budgets - committed) / each + 1e-9), 0, size).astype(int)


def _open(setting: Setting) -> np.ndarray:
    return ~np.asarray(setting.start.state.dataset.asked)[:, setting.policy.target]


def _hits(setting: Setting) -> np.ndarray:
    goal, truth = setting.goal, jax.vmap(lambda world: world.truth(setting.policy.target))(setting.worlds)
    return np.asarray(jax.vmap(lambda values: aim(values, goal.window, goal.top, goal.sign).hits)(truth))


def _statistics(hits: np.ndarray) -> dict[str, np.ndarray]:
    low, high = (np.quantile(hits, share, axis=0, method="nearest") for share in (0.1, 0.9))
    return {"mean": hits.mean(axis=0), "low_80": low, "high_80": high}
