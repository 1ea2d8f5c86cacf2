"""Outcomes of simulated campaigns as tables: what to expect by which budget and by which date."""

import numpy as np
import pandas as pd

from mfal.campaign.goal import Goal
from mfal.whatif.study import Outcomes

# Central ranges, and the quantiles at which they begin and end.
QUANTILES = {
    "low_95": 0.025, "low_80": 0.1, "low_50": 0.25, "median": 0.5, "high_50": 0.75, "high_80": 0.9, "high_95": 0.975,
}  # fmt: skip


def hits_by_budget(outcomes: Outcomes, budgets_eur: np.ndarray) -> pd.DataFrame:
    """Return the distribution of hits once so much has been spent, a row a budget (index, EUR).

    A campaign that was told a smaller budget decides the same until that is nearly spent, so that one study serves all.
    """
    return _bands(outcomes.hits_within(outcomes.spent_eur, budgets_eur), pd.Index(budgets_eur, name="eur"))


def hits_by_hour(outcomes: Outcomes, hours: np.ndarray) -> pd.DataFrame:
    """Return the distribution of hits by a time on the campaign's clock, a row a time (index, hours)."""
    return _bands(outcomes.hits_within(outcomes.hours, hours), pd.Index(hours, name="hours"))


def best_by_budget(outcomes: Outcomes, budgets_eur: np.ndarray, goal: Goal) -> pd.DataFrame:
    """Return the distribution of the best measured value once so much has been spent, in the property's unit.

    For a window it is the distance to the middle of the window. Values are free of measurement noise. Campaigns that
    have measured nothing yet count as infinitely bad in the quantiles, and not at all in the mean.
    """
    sign = 1.0 if goal.window is not None else goal.sign
    best = sign * best_within(outcomes, np.asarray(outcomes.spent_eur), budgets_eur)
    return _bands(best, pd.Index(budgets_eur, name="eur"))


def regret_by_budget(outcomes: Outcomes, budgets_eur: np.ndarray) -> pd.DataFrame:
    """Return the distribution of the distance in merit from the best measured candidate to the best there is.

    In the property's unit, never negative; as in `best_by_budget` for campaigns that have measured nothing.
    """
    best = best_within(outcomes, np.asarray(outcomes.spent_eur), budgets_eur)
    return _bands(best - np.asarray(outcomes.optimum)[:, None], pd.Index(budgets_eur, name="eur"))


def chances(outcomes: Outcomes, budgets_eur: np.ndarray) -> pd.DataFrame:
    """Return the probability of at least so many hits (columns) once so much has been spent (index, EUR)."""
    hits = outcomes.hits_within(outcomes.spent_eur, budgets_eur)
    return _chances(hits, pd.Index(budgets_eur, name="eur"))


def chances_by_hour(outcomes: Outcomes, hours: np.ndarray) -> pd.DataFrame:
    """Return the probability of at least so many hits (columns) by a time on the campaign's clock (index, hours)."""
    return _chances(outcomes.hits_within(outcomes.hours, hours), pd.Index(hours, name="hours"))


def best_within(outcomes: Outcomes, column: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Return the lowest merit of every campaign while `column` is within each limit, infinite before the first."""
    within = column[:, :, None] <= np.asarray(limits) + 1e-9
    return np.min(np.where(within, np.asarray(outcomes.best)[:, :, None], np.inf), axis=1)


def _bands(values: np.ndarray, index: pd.Index) -> pd.DataFrame:
    # A quantile between two campaigns is not an outcome: hits are whole, and nothing measured is no number.
    columns = {name: np.quantile(values, share, axis=0, method="nearest") for name, share in QUANTILES.items()}
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).sum(axis=0), known.sum(axis=0)
    mean = np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)
    return pd.DataFrame({"mean": mean, **columns}, index=index)


def _chances(hits: np.ndarray, index: pd.Index) -> pd.DataFrame:
    most = max(1, int(hits.max()))
    columns = {count: np.mean(hits >= count, axis=0) for count in range(1, most + 1)}
    return pd.DataFrame(columns, index=index)
