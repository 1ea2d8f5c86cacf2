"""Outcomes over a grid of prices and budgets: what the sliders of the page read."""

import itertools

import numpy as np
import pandas as pd

from mfal.whatif.bands import QUANTILES, chances
from mfal.whatif.scenario import with_price
from mfal.whatif.setting import Setting
from mfal.whatif.stopping import stopping
from mfal.whatif.study import Outcomes

FACTORS = (0.5, 1.0, 2.0)
# A fidelity whose doubled price would take up less than this share of the money moves the budget by that, no more.
NEGLIGIBLE = 0.02
# Prices that vary together at most: the grid grows by a factor of three with each.
MOST = 3


def varied(setting: Setting) -> list[int]:
    """Return the fidelities whose prices matter enough to be simulated, at most `MOST`, the weightiest first."""
    paid = setting.paid_eur(setting.base, setting.policy)
    left = float(setting.policy.budget_eur - setting.start.state.spent_eur)
    weighty = [int(level) for level in np.argsort(-paid, kind="stable") if paid[level] > NEGLIGIBLE * left]
    return weighty[:MOST]


def price_grid(setting: Setting, planned: Outcomes, budgets_eur: np.ndarray) -> pd.DataFrame:
    """Return the distribution of hits over prices of the `varied` fidelities and budgets.

    Today's prices have the outcomes of the whole study (`planned`). The probabilities at others differ from these by
    what they differ by in the worlds of the setting, where all prices were simulated; all else follows from them.

    Returns:
        Index: a factor on the price of each varied fidelity (level named after it), then eur. Columns: mean, the
        quantiles of `bands`, net_eur: mean net worth, and the probability of at least 1, 2, ... hits (whole numbers).
    """
    levels = varied(setting)
    most = 1 + int(max(np.asarray(setting.base.hits).max(), np.asarray(planned.hits).max(), 1))
    whole, here = (_columns(setting, found, budgets_eur, most) for found in (planned, setting.base))
    parts = {}
    for factors in itertools.product(FACTORS, repeat=len(levels)):
        policy = setting.policy
        for level, factor in zip(levels, factors, strict=True):
            policy = with_price(policy, level, factor * float(setting.policy.price_eur[level]))
        there = _columns(setting, setting.outcomes(policy), budgets_eur, most)
        parts[factors] = _distribution(whole + (there - here))
    names = [setting.names[level] for level in levels]
    return pd.concat(parts, names=names) if names else _distribution(whole)


def _columns(setting: Setting, outcomes: Outcomes, budgets_eur: np.ndarray, most: int) -> pd.DataFrame:
    net = stopping(outcomes, setting.value, budgets_eur)[["net_eur"]]
    return pd.concat([net, chances(outcomes, budgets_eur).reindex(columns=range(1, most), fill_value=0.0)], axis=1)


def _distribution(table: pd.DataFrame) -> pd.DataFrame:
    """Return net worth and probabilities, made possible, with the mean and the quantiles that follow from them."""
    counts = [name for name in table.columns if isinstance(name, int)]
    # More hits are no likelier than fewer, and more money brings no fewer.
    chance = np.minimum.accumulate(np.clip(table[counts].to_numpy(), 0.0, 1.0), axis=1)
    chance = np.maximum.accumulate(chance, axis=0)
    quantiles = {name: np.sum(chance >= 1.0 - share - 1e-9, axis=1) for name, share in QUANTILES.items()}
    columns = {"mean": chance.sum(axis=1), **quantiles, "net_eur": table["net_eur"].to_numpy()}
    return pd.DataFrame(columns | dict(zip(counts, chance.T, strict=True)), index=table.index)
