"""The best split of a budget over the fidelities: campaigns that may ask only so many queries below the target."""

import math

import numpy as np
import pandas as pd

from mfal.campaign.policy import Policy
from mfal.whatif.paired import paired
from mfal.whatif.scenario import target_alone, with_limit
from mfal.whatif.setting import Setting

# Of what the campaign would ask from now on at a fidelity, on average.
SHARES = (0.0, 0.25, 0.5)


def split(setting: Setting) -> pd.DataFrame:
    """Return money and hits where one fidelity below the target is held to a share of what the policy would ask.

    A row a scenario, index (limited fidelity, share); ("none", 1) is the policy's own choice and ("all", 0) the target
    alone, for which what it requires is waived.

    Returns:
        Columns ("eur", fidelity): mean money from now on; ("outcome", "hits"), ("outcome", "net_eur"): means;
        ("outcome", "more_net_eur") and ("outcome", "se_eur"): mean difference to the policy's own choice and its
        standard error.
    """
    asked = np.asarray(setting.base.asked)[:, -1].mean(axis=0)
    before = np.sum(np.asarray(setting.start.state.dataset.asked), axis=0)
    scenarios = {("none", 1.0): setting.policy}
    for level in setting.lower:
        for share in SHARES:
            limit = math.ceil(before[level] + share * (asked[level] - before[level]))
            scenarios[setting.names[level], share] = with_limit(setting.policy, level, limit)
    scenarios["all", 0.0] = target_alone(setting.policy)
    rows = [_row(setting, policy) for policy in scenarios.values()]
    index = pd.MultiIndex.from_tuples(list(scenarios), names=["limited", "share"])
    columns = pd.MultiIndex.from_tuples(list(rows[0]))
    return pd.DataFrame([list(row.values()) for row in rows], index=index, columns=columns)


def _row(setting: Setting, policy: Policy) -> dict[tuple[str, str], float]:
    outcomes = setting.outcomes(policy)
    net, base = setting.value.net(outcomes), setting.value.net(setting.base)
    more, error = paired(net, base)
    money = setting.paid_eur(outcomes, policy)
    figures = {"hits": float(np.mean(np.asarray(outcomes.hits)[:, -1])), "net_eur": float(net.mean()),
               "more_net_eur": more, "se_eur": error}  # fmt: skip
    return {("eur", name): float(eur) for name, eur in zip(setting.names, money, strict=True)} | {
        ("outcome", name): figure for name, figure in figures.items()
    }
