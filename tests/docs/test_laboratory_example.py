"""The example of the simulated laboratory runs in its short form, and its ledger verifies."""

from pathlib import Path

from mfal.campaign.config import load
from mfal.campaign.history import fold
from mfal.campaign.loop import Campaign
from mfal.ledger import read_events
from physics.simulated_laboratory import FAILURES

EXAMPLE = Path(__file__).parents[2] / "examples" / "laboratory.toml"


def test_the_short_form_ends_within_its_budget_and_is_reproduced(tmp_path):
    config = load(EXAMPLE, fast=True)
    assert set(config.fidelity[0].options["failures"]) == set(FAILURES), "the example shows every kind"
    campaign = Campaign.start(config, tmp_path / "run")
    try:
        progress = campaign.run(lambda _: None)
    finally:
        campaign.close()
    assert progress.stopped and len(progress.observations) > 5
    assert campaign.spent_eur <= 4000.0
    assert progress.hours > 14 * 24
    fold(campaign.rules, read_events(tmp_path / "run"), check=True)
