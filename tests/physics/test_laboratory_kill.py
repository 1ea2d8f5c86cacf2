"""Kill -9 of a campaign in the simulated laboratory: no sample lost or handed in twice, and both books agree."""

import json

import pytest

from mfal.campaign.config import load
from mfal.campaign.plugins import build_oracles, build_pool
from mfal.campaign.record import recorded_observations
from mfal.ledger import read_events
from tests import kill_driver


@pytest.mark.slow
def test_a_killed_campaign_hands_in_the_same_samples_and_pays_the_same(tmp_path):
    found = kill_driver.compare(tmp_path, kills=4, seed=1, kind="laboratory")
    assert found["kills_survived"] == 4, "every kill hit a running campaign"
    assert found["resumes"] >= 2, "kills came after the campaign had begun"
    assert found["queries"] > 10
    assert {name: value for name, value in found.items() if name.startswith("same_") and not value} == {}
    assert found["paid_twice"] == 0 and found["worked_twice"] == 0
    directory = tmp_path / "laboratory" / "killed"
    answers = recorded_observations(read_events(directory))
    samples = [
        json.loads(line)["sample"] for line in (directory / "laboratory/hardness.jsonl").read_text().splitlines()
    ]
    assert sorted(samples) == sorted(one.candidate for one in answers), "every sample was answered, once"
    config = load(kill_driver.EXAMPLE, fast=True)
    oracle = build_oracles(config, build_pool(config), directory)["hardness"]
    oracle.advance(1e6)
    assert sum(round(100 * one.price_eur) for one in answers) == oracle.paid_cents()
