"""Outcomes of simulated campaigns as tables: what to expect by which budget and by which date."""

import numpy as np
import pandas as pd

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


def chances(outcomes: Outcomes, budgets_eur: np.ndarray) -> pd.DataFrame:
    """Return the probability of at least so many hits (columns) once so much has been spent (index, EUR)."""
    hits = outcomes.hits_within(outcomes.spent_eur, budgets_eur)
    most = max(1, int(hits.max()))
    columns = {count: np.mean(hits >= count, axis=0) for count in range(1, most + 1)}
    return pd.DataFrame(columns, index=pd.Index(budgets_eur, name="eur"))


def _bands(hits: np.ndarray, index: pd.Index) -> pd.DataFrame:
    # Whole hits: a quantile between two counts is not an outcome.
    columns = {name: np.quantile(hits, share, axis=0, method="nearest") for name, share in QUANTILES.items()}
    return pd.DataFrame({"mean": hits.mean(axis=0), **columns}, index=index)
