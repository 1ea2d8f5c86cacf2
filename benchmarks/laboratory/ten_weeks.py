"""Ten weeks of the example campaign with every kind of failure: is it the right material, and do the books agree?"""

import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mfal.campaign.config import CampaignConfig, load
from mfal.campaign.goal import goal
from mfal.campaign.history import Progress
from mfal.campaign.loop import Campaign
from mfal.campaign.record import recorded_observations
from mfal.ledger.store import read_events
from physics.simulated_laboratory import SimulatedLaboratory

EXAMPLE = Path(__file__).parents[2] / "examples" / "laboratory.toml"


SEEDS, SMOKE_SEEDS = 10, 1
# Of the example's instrument: what it cannot tell apart is as good.
READING_SD_HV = 3.0


@dataclass(frozen=True)
class Books:
    """How one campaign ended.

    Attributes:
        weeks: on its clock.
        answers: paid for, failures among them.
        failures: among these.
        ledger_cents: paid by the ledger.
        laboratory_cents: the sum of all steps in the laboratory's own book.
        misses_hv: by which the material recommended is softer than the hardest that can be made.
        hits: of the best materials that can be made, how many were measured.
    """

    weeks: float
    answers: int
    failures: int
    ledger_cents: int
    laboratory_cents: int
    misses_hv: float
    hits: int


def measure_ten_weeks(smoke: bool) -> dict[str, Any]:
    """Return length, answers and money on both sides, and in how many campaigns it was the right material."""
    books = [ten_weeks(seed, smoke) for seed in range(SMOKE_SEEDS if smoke else SEEDS)]
    misses = [one.misses_hv for one in books]
    return {
        "campaigns_of_weeks": len(books),
        "campaign_weeks_median": round(float(np.median([one.weeks for one in books])), 1),
        "campaign_weeks_least": round(min(one.weeks for one in books), 1),
        "campaign_answers": sum(one.answers for one in books),
        "campaign_failures": sum(one.failures for one in books),
        "account_difference_eur": max(abs(one.ledger_cents - one.laboratory_cents) for one in books) / 100,
        "right_material_share": sum(miss == 0.0 for miss in misses) / len(misses),
        "right_within_a_reading_share": sum(miss < READING_SD_HV for miss in misses) / len(misses),
        "material_misses_best_by_hv_mean": round(float(np.mean(misses)), 2),
        "material_misses_best_by_hv_most": round(max(misses), 2),
    }


@cache
def ten_weeks(seed: int, fast: bool) -> Books:
    """Run the example with another truth and other mishaps for every seed."""
    with tempfile.TemporaryDirectory() as folder:
        campaign = Campaign.start(_example(seed, fast), Path(folder) / "campaign")
        try:
            progress = campaign.run(lambda _: None)
        finally:
            campaign.close()
        oracle = campaign.oracles["hardness"]
        assert isinstance(oracle, SimulatedLaboratory)
        paid = recorded_observations(read_events(Path(folder) / "campaign"))
        # The laboratory's own book, made up anew from what was handed in.
        again = SimulatedLaboratory("hardness", oracle.laboratory, oracle.journal)
        again.advance(progress.hours)
        return Books(
            weeks=progress.hours / 168.0,
            answers=len(paid),
            failures=sum(one.failure is not None for one in paid),
            ledger_cents=sum(round(100 * one.price_eur) for one in paid),
            laboratory_cents=again.paid_cents(),
            misses_hv=_misses(campaign, oracle),
            hits=len(set(goal(campaign.config).hits(oracle.hidden_truth())) & _measured(progress)),
        )


def _measured(progress: Progress) -> set[str]:
    return {one.candidate for one in progress.observations if one.value is not None}


def _example(seed: int, fast: bool) -> CampaignConfig:
    raw = load(EXAMPLE, fast=fast).model_dump(mode="json")
    options = raw["fidelity"][0]["options"]
    options["seed"] = options["truth"]["seed"] = raw["campaign"]["seed"] = seed
    return CampaignConfig.model_validate(raw)


def _misses(campaign: Campaign, oracle: SimulatedLaboratory) -> float:
    """Return what the measured material that is believed to be hardest lacks."""
    truth, rank = oracle.hidden_truth(), oracle.laboratory.truth.rank
    refused, state = oracle.laboratory.failures.refused, campaign.progress.state
    best = max(value for name, value in truth.items() if refused is None or rank[name] >= refused.share)
    believed = np.where(state.dataset.observed[:, 0], state.belief.mean[:, 0], -np.inf)
    return max(0.0, best - truth[campaign.rules.pool.ids[int(believed.argmax())]])
