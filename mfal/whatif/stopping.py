"""When to stop: what the outcome is worth beyond the money spent, by budget."""

import numpy as np
import pandas as pd

from mfal.whatif.bands import best_within
from mfal.whatif.paired import standard_error
from mfal.whatif.study import Outcomes
from mfal.whatif.value import Value


def stopping(outcomes: Outcomes, value: Value, budgets_eur: np.ndarray) -> pd.DataFrame:
    """Return the expected net worth of stopping at each budget, a row a budget (index, EUR).

    The sums that are compared are worth less money really spent by then: a campaign may end before its budget.

    Returns:
        Columns hits: mean; hits_per_1000_eur: further hits for each further 1 000 EUR of budget, from the row before;
        net_eur: mean net worth; se_eur: its standard error; low_80 and high_80: central 80 % of it; stop: where the
        mean is greatest, the smallest such budget.
    """
    hits = outcomes.hits_within(outcomes.spent_eur, budgets_eur)
    best = best_within(outcomes, np.asarray(outcomes.spent_eur), budgets_eur)
    net = value.gross(hits, best) - spent_within(outcomes, budgets_eur)
    mean = hits.mean(axis=0)
    steps = np.diff(budgets_eur)
    more = np.divide(1000.0 * np.diff(mean), steps, out=np.zeros_like(steps), where=steps > 0.0)
    columns = {
        "hits": mean, "hits_per_1000_eur": np.concatenate([[np.nan], more]), "net_eur": net.mean(axis=0),
        "se_eur": [standard_error(column) for column in net.T], "low_80": np.quantile(net, 0.1, axis=0),
        "high_80": np.quantile(net, 0.9, axis=0),
    }  # fmt: skip
    table = pd.DataFrame(columns, index=pd.Index(budgets_eur, name="eur"))
    table["stop"] = np.arange(len(table)) == int(np.argmax(table["net_eur"]))
    return table


def spent_within(outcomes: Outcomes, budgets_eur: np.ndarray) -> np.ndarray:
    """Return the money spent by every campaign while that is within each budget, in EUR; the first EUR before that."""
    spent = np.asarray(outcomes.spent_eur)
    within = spent[:, :, None] <= np.asarray(budgets_eur) + 1e-9
    least = np.minimum(spent[:, :1], np.asarray(budgets_eur))
    return np.maximum(np.max(np.where(within, spent[:, :, None], -np.inf), axis=1), least)
