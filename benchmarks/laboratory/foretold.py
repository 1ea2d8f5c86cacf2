"""What a study foretells of the example campaign before it begins, with faults and without, and what happens then."""

from typing import Any

import numpy as np

from benchmarks.laboratory.ten_weeks import EXAMPLE, SEEDS, SMOKE_SEEDS, ten_weeks
from mfal.campaign.build import build_rules
from mfal.campaign.config import load
from mfal.campaign.goal import goal
from mfal.whatif.faults import of_ladder
from mfal.whatif.setting import set_up
from mfal.whatif.simulate import first_moment
from mfal.whatif.study import Outcomes
from mfal.whatif.value import Value

CAMPAIGNS, SMOKE_CAMPAIGNS = 64, 8
# Decisions of each at most: more than any takes.
STEPS = 60


def measure_foretold(smoke: bool) -> dict[str, Any]:
    """Return hits and money at the end as foretold in worlds with faults and without, and as they came about."""
    config = load(EXAMPLE, fast=smoke)
    rules = build_rules(config)
    start, names = first_moment(rules.policy, rules.first), rules.ladder.names
    question, campaigns = (goal(config), Value.of(config)), SMOKE_CAMPAIGNS if smoke else CAMPAIGNS
    books = [ten_weeks(seed, smoke) for seed in range(SMOKE_SEEDS if smoke else SEEDS)]
    figures: dict[str, Any] = {
        "realised_campaigns": len(books),
        "realised_hits_mean": round(float(np.mean([one.hits for one in books])), 2),
        "realised_eur_mean": round(float(np.mean([one.ledger_cents for one in books])) / 100),
    }
    for name, faults in (("foretold", of_ladder(rules.ladder, rules.pool)), ("foretold_without_faults", ())):
        outcomes, _ = set_up(rules.policy, start, names, *question, campaigns, STEPS, 0, faults=faults)
        figures |= _ends(name, outcomes)
    return figures


def _ends(name: str, outcomes: Outcomes) -> dict[str, Any]:
    """Return the mean of the hits with their central 80 %, and of the money, over simulated campaigns."""
    hits, spent = (np.asarray(column)[:, -1] for column in (outcomes.hits, outcomes.spent_eur))
    low, high = np.quantile(hits, [0.1, 0.9], method="nearest")
    return {
        f"{name}_campaigns": len(hits),
        f"{name}_hits_mean": round(float(hits.mean()), 2),
        f"{name}_hits_low": int(low),
        f"{name}_hits_high": int(high),
        f"{name}_eur_mean": round(float(spent.mean())),
    }
