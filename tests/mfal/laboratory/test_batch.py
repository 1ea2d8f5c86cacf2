"""What goes out: structured, priced, dated, and admitted by the campaign's constraints."""

import csv
import io
import json
from datetime import datetime, timedelta

import pytest

from mfal.campaign.plugins import build_pool
from mfal.errors import CampaignFileError
from mfal.fidelity import Fidelity
from mfal.laboratory.ask import ask, write_batch
from mfal.laboratory.options import laboratory_options
from mfal.laboratory.schema import Batch
from mfal.laboratory.sign import Decision, review, sign
from mfal.laboratory.tell import tell
from mfal.ledger import read_events
from mfal.space.pool import Pool
from tests.mfal.laboratory import door


@pytest.fixture
def campaign(tmp_path):
    return door.prepared(tmp_path / "campaign")


def test_a_query_says_everything_that_the_laboratory_needs(campaign):
    query = ask(campaign).queries[0]
    asked = datetime.fromisoformat(read_events(campaign)[1].time)
    assert query.id.startswith("calorimetry:AlCo:")
    assert (query.formula, query.atomic_fractions) == ("AlCo", {"Al": 0.5, "Co": 0.5})
    assert (query.property, query.unit, query.is_target) == ("formation_energy", "eV/atom", True)
    assert (query.price_eur, query.expected_gain, query.expected_gain_unit) == (500.0, 900.0, "EUR")
    assert query.recipe == "Arc-melt AlCo (Al 50, Co 50 at.%)"
    assert datetime.fromisoformat(query.due) - datetime.fromisoformat(query.asked) == timedelta(hours=120)
    assert abs(datetime.fromisoformat(query.asked) - asked) < timedelta(seconds=1)
    assert query.reason.startswith(
        "choice 1 of 4: expected gain EUR 900.0 for EUR 500.00; P(hit) 0.30; predicted -0.55"
    )


def test_the_files_say_the_same_as_the_batch(campaign, tmp_path):
    batch = ask(campaign)
    files = write_batch(batch, tmp_path / "out")
    assert Batch.model_validate_json(files.json.read_text()) == batch
    rows = list(csv.DictReader(io.StringIO(files.csv.read_text())))
    assert [row["id"] for row in rows] == [query.id for query in batch.queries]
    assert {row["schema_version"] for row in rows} == {"mfal.batch/1"}
    assert rows[1]["atomic_fractions"] == "Al=0.5 Ni=0.5"
    assert float(rows[1]["expected_gain"]) == batch.queries[1].expected_gain
    first = {file: file.read_bytes() for file in files}
    assert write_batch(ask(campaign), tmp_path / "out") == files
    assert {file: file.read_bytes() for file in files} == first
    assert json.loads(files.json.read_text())["schema_version"] == "mfal.batch/1"


def test_what_has_been_told_is_not_asked_again(campaign):
    name = door.ids(campaign)["AlNi"]
    before = ask(campaign)
    tell(campaign, door.document(door.row(name)), "json", "a.json", False)
    after = ask(campaign)
    assert [q.id for q in after.queries] == [q.id for q in before.queries if q.id != name]
    assert after.batch != before.batch


REFUSALS = [
    ({"elements": ["Al", "Co", "Ni", "Ti"]}, "ZrPd", "['Pd', 'Zr'] are not among elements"),
    ({"fraction": [{"of": ["Al"], "at_least": 0.4}]}, "TiNi", "Al >= 0.4 is missed by 0.4"),
]


@pytest.mark.parametrize(("constraints", "candidate", "reason"), REFUSALS, ids=["elements", "fraction"])
def test_a_composition_is_checked_at_the_door(tmp_path, constraints, candidate, reason):
    campaign = door.prepared(tmp_path / "campaign", door.config(constraints=constraints))
    batch = ask(campaign)
    refused = {one.candidate: one.reason for one in batch.refused}
    assert reason in refused[candidate]
    assert candidate not in {query.candidate for query in batch.queries}
    assert {item.id for item in review(campaign).waiting if item.kind == "constraint"} == {r.id for r in batch.refused}


def test_a_person_releases_or_rejects_what_was_refused(tmp_path):
    constraints = {"elements": ["Al", "Co", "Ni"]}
    campaign = door.prepared(tmp_path / "campaign", door.config(constraints=constraints))
    names = door.ids(campaign)
    assert {one.candidate for one in ask(campaign).refused} == {"TiNi", "ZrPd"}
    sign(campaign, Decision(names["TiNi"], True, "Ana", "titanium is fine after all", None))
    sign(campaign, Decision(names["ZrPd"], False, "Ana", "not in this furnace", None))
    batch = ask(campaign)
    assert "TiNi" in {query.candidate for query in batch.queries}
    assert batch.refused == []
    assert review(campaign).waiting == ()


def test_a_candidate_without_a_formula_has_no_fractions(campaign, monkeypatch):
    monkeypatch.setattr(Pool, "formula", lambda pool, candidate: "sample 12")
    query = ask(campaign).queries[0]
    assert (query.formula, query.atomic_fractions) == (None, {})


def test_fractions_sum_to_one(campaign):
    assert all(sum(query.atomic_fractions.values()) == 1.0 for query in ask(campaign).queries)
    assert set(build_pool(door.config()).ids) >= {query.candidate for query in ask(campaign).queries}


OPTIONS = [
    ({"recipes": "x"}, "options.recipes"),
    ({"recipe": "melt {mass}"}, "recipe names ['mass']; the fields are"),
    ({"recipe": "melt {"}, "recipe cannot be read"),
    ({"steps": ["a b"]}, "must be different names"),
    ({"steps": ["a", "a"]}, "must be different names"),
    ({"lowest": 1.0, "highest": 0.0}, "must be under highest"),
    ({"lowest": "low"}, "options.lowest"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=lambda value: str(value)[:20])
def test_options_are_checked_before_money_is_spent(options, message):
    with pytest.raises(CampaignFileError) as caught:
        laboratory_options(Fidelity("lab", "laboratory", 1.0, 1.0, 1, 0.1, options=options))
    assert message in str(caught.value)
