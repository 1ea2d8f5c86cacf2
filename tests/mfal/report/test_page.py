"""The page: self-contained, escaped, and true to what was learnt."""

import re

import numpy as np
import pytest

from mfal.campaign.build import recorded_rules
from mfal.campaign.history import fold
from mfal.campaign.loop import Campaign
from mfal.ledger import read_events
from mfal.report.page import write_page
from mfal.report.reading import read_campaign
from mfal.report.relation import forecasts, relations
from tests import synthetic


@pytest.fixture(scope="module")
def learnt(finished):
    events = read_events(finished)
    rules = recorded_rules(events[0].payload)[1]
    return rules, fold(rules, events)


def test_nothing_is_loaded_from_elsewhere(finished, tmp_path):
    page = write_page(read_campaign(finished), tmp_path / "report.html").read_text()
    assert page.count("<svg") == 3
    assert re.findall(r"<(?:script|link|img|iframe)\b|\bsrc=|@import|url\((?!#)", page) == []


def test_text_from_the_campaign_file_is_escaped(tmp_path):
    campaign = Campaign.start(synthetic.config(name="<script>alert(1)</script>"), tmp_path)
    campaign.run(lambda _: None)
    campaign.close()
    page = write_page(read_campaign(tmp_path), tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page


def test_a_page_can_be_written_before_anything_is_measured(tmp_path):
    campaign = Campaign.start(synthetic.config(), tmp_path)
    campaign.close()
    page = write_page(read_campaign(tmp_path), tmp_path / "report.html").read_text()
    assert "not finished" in page


def test_relations_hold_between_the_answers(learnt):
    found = {(r.lower, r.upper): r for r in relations(*learnt)}
    assert set(found) == {("low", "middle"), ("low", "high"), ("middle", "high")}
    for relation in found.values():
        residual = relation.y - (relation.slope * relation.x + relation.offset)
        # The synthetic parts of their own have standard deviations of 0.08 and 0.04.
        assert np.abs(residual).max() < 0.35
    through = found["low", "middle"].slope * found["middle", "high"].slope
    assert found["low", "high"].slope == pytest.approx(through, rel=1e-12)


def test_forecasts_leave_out_what_was_measured(learnt):
    rules, progress = learnt
    measured = {o.candidate for o in progress.observations if o.fidelity == "high"}
    rows = forecasts(rules, progress)
    assert {row.candidate for row in rows} == set(rules.pool.ids) - measured
    assert [row.probability for row in rows] == sorted((row.probability for row in rows), reverse=True)
    # The campaign stopped because no measurement was worth its price.
    assert all(2000.0 * row.probability <= 300.0 * 1.1 for row in rows)
