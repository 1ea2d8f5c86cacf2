"""Ten weeks of the example campaign with every kind of failure: is it the right material, and do the books agree?"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from mfal.campaign.config import load
from mfal.campaign.loop import Campaign
from mfal.campaign.record import recorded_observations
from mfal.ledger.store import read_events
from physics.simulated_laboratory import SimulatedLaboratory

EXAMPLE = Path(__file__).parents[2] / "examples" / "laboratory.toml"


def measure_ten_weeks(smoke: bool) -> dict[str, Any]:
    """Return length, answers, money on both sides, and what the campaign recommends."""
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder) / "campaign"
        campaign = Campaign.start(load(EXAMPLE, fast=smoke), directory)
        try:
            progress = campaign.run(lambda _: None)
        finally:
            campaign.close()
        oracle = campaign.oracles["hardness"]
        assert isinstance(oracle, SimulatedLaboratory)
        paid = recorded_observations(read_events(directory))
        ledger_cents = sum(round(100 * one.price_eur) for one in paid)
        # The laboratory's own book, made up anew from what was handed in.
        again = SimulatedLaboratory("hardness", oracle.laboratory, oracle.journal)
        again.advance(progress.hours)
        book_cents = again.paid_cents()
    truth, rank = oracle.hidden_truth(), oracle.laboratory.truth.rank
    refused = oracle.laboratory.failures.refused
    possible = {name: value for name, value in truth.items() if refused is None or rank[name] >= refused.share}
    believed, level = np.asarray(progress.state.belief.mean[:, 0]), np.asarray(progress.state.dataset.observed[:, 0])
    chosen = campaign.rules.pool.ids[int(np.where(level, believed, -np.inf).argmax())]
    order = sorted(possible, key=lambda name: -possible[name])
    return {
        "campaign_weeks": round(progress.hours / 168.0, 1),
        "campaign_answers": len(paid),
        "campaign_failures": sum(one.failure is not None for one in paid),
        "campaign_eur": ledger_cents / 100,
        "account_difference_eur": (ledger_cents - book_cents) / 100,
        "material": chosen,
        "right_material": chosen == order[0],
        "material_misses_best_by_hv": round(possible[order[0]] - truth[chosen], 1),
    }
