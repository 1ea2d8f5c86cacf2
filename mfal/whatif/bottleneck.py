"""One more GPU or furnace, or more money: what the campaign is short of."""

import numpy as np
import pandas as pd

from mfal.campaign.policy import Policy
from mfal.whatif.paired import paired
from mfal.whatif.scenario import with_budget, with_capacity, with_latency
from mfal.whatif.setting import Setting

# Larger budgets that slots are compared with.
MORE_MONEY = (1.1, 1.25)
# An answer that comes this much sooner than the slowest is not waited for.
SWIFT = 0.01


def bottleneck(setting: Setting) -> pd.DataFrame:
    """Return hits and time with one more slot or half the latency at each fidelity, and with more money.

    Fidelities with a slot for every candidate, or whose answers come at once, have nothing to gain and are left out.

    Returns:
        Index change: in words. Columns hits, days and net_eur: means at the end; more_hits, se_hits, fewer_days,
        se_days: mean differences to the plan and their standard errors.
    """
    rows = {change: _row(setting, policy) for change, policy in _changes(setting).items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("change")


def _changes(setting: Setting) -> dict[str, Policy]:
    policy, size = setting.policy, setting.start.state.dataset.status.shape[0]
    slowest = float(np.max(np.asarray(policy.latency_hours)))
    changes = {"as planned": policy}
    for level, name in enumerate(setting.names):
        slots, hours = int(policy.capacity[level]), float(policy.latency_hours[level])
        if slots < size:
            changes[f"{name}: {slots + 1} slots instead of {slots}"] = with_capacity(policy, level, slots + 1)
        if hours > SWIFT * slowest:
            changes[f"{name}: {hours / 2:g} h instead of {hours:g} h"] = with_latency(policy, level, 0.5 * hours)
    for factor in MORE_MONEY:
        budget = factor * float(policy.budget_eur)
        changes[f"budget: {factor - 1.0:.0%} more (EUR {budget:,.0f})"] = with_budget(policy, budget)
    return changes


def _row(setting: Setting, policy: Policy) -> dict[str, float]:
    outcomes, base = setting.outcomes(policy), setting.base
    hits, days = np.asarray(outcomes.hits)[:, -1], np.asarray(outcomes.hours)[:, -1] / 24.0
    more_hits, se_hits = paired(hits, np.asarray(base.hits)[:, -1])
    more_days, se_days = paired(days, np.asarray(base.hours)[:, -1] / 24.0)
    return {
        "hits": float(hits.mean()), "days": float(days.mean()), "net_eur": float(setting.value.net(outcomes).mean()),
        "more_hits": more_hits, "se_hits": se_hits, "fewer_days": -more_days, "se_days": se_days,
    }  # fmt: skip
