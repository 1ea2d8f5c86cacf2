"""What is told stays told: once, exactly, with its history."""

from datetime import timedelta

import pytest

import mfal.laboratory.tell
from mfal.laboratory.batch import results_form
from mfal.laboratory.problems import RefusedResultsError
from mfal.laboratory.tell import tell
from mfal.laboratory.told import LABORATORY, fold_told, read_told, told_ledger
from mfal.ledger import EventKind, read_events, verify
from tests.mfal.laboratory import door


@pytest.fixture
def campaign(tmp_path):
    return door.prepared(tmp_path / "campaign")


def newest(campaign, candidate: str):
    return read_told(campaign).newest(f"calorimetry:{candidate}")


def events(campaign) -> int:
    return len(read_events(campaign / LABORATORY))


def test_csv_and_json_say_the_same(campaign, tmp_path):
    names = door.ids(campaign)
    columns = "schema_version,id,value,unit,uncertainty,failure,price_eur,measured_on,step_weighed,step_melted,x_who"
    cells = {
        "id": names["AlNi"], "value": "-612.5", "unit": "meV/atom", "uncertainty": "20", "price_eur": "480.5",
        "measured_on": "2026-11-20", "step_weighed": "true", "step_melted": "false", "x_who": '"Ana, B."',
    }  # fmt: skip
    row = {
        "id": names["AlNi"], "value": -612.5, "unit": "meV/atom", "uncertainty": 20, "price_eur": 480.5,
        "measured_on": "2026-11-20", "steps": {"weighed": True, "melted": False}, "extra": {"who": "Ana, B."},
    }  # fmt: skip
    other = door.prepared(tmp_path / "other")
    tell(campaign, door.table(cells, columns=columns), "csv", "a.csv", False)
    tell(other, door.document({**row, "id": door.ids(other)["AlNi"]}), "json", "a.json", False)
    first, second = (newest(place, "AlNi").result for place in (campaign, other))
    assert first.value == -0.6125
    assert first.noise_sd == 0.02
    assert first.steps == {"weighed": True, "melted": False}
    assert {**vars(first), "id": ""} == {**vars(second), "id": ""}


@pytest.mark.parametrize("text", ["0.1", "100.3", "-33.3", "1e-7", "7.0000000000000007"])
def test_conversion_is_to_the_nearest_float(campaign, text):
    from fractions import Fraction

    content = door.table({"id": door.ids(campaign)["AlNi"], "value": text, "unit": "meV/atom"})
    tell(campaign, content, "csv", "a.csv", False)
    assert newest(campaign, "AlNi").result.value == float(Fraction(text) / 1000)


def test_the_same_file_twice_changes_nothing_and_says_so(campaign):
    content = door.document(door.row(door.ids(campaign)["AlNi"]), door.row(door.ids(campaign)["AlCo"], -0.4))
    first = tell(campaign, content, "json", "a.json", False)
    again = tell(campaign, content, "json", "b.json", False)
    assert (len(first.results), first.recorded) == (2, True)
    assert (again.results, again.recorded, again.event_hash) == ((), False, "")
    assert set(again.repeated) == set(first.results)
    assert "told before (revision 1, from a.json); nothing changed" in again.notes[0]
    assert events(campaign) == 1


def test_a_file_may_be_told_in_parts(campaign):
    names = door.ids(campaign)
    rows = [door.row(names[candidate]) for candidate in door.CANDIDATES]
    tell(campaign, door.document(*rows[:1]), "json", "a.json", False)
    receipt = tell(campaign, door.document(*rows), "json", "b.json", False)
    assert (len(receipt.results), len(receipt.repeated)) == (3, 1)


def test_a_dry_run_says_the_same_and_records_nothing(campaign):
    content = door.document(door.row(door.ids(campaign)["AlNi"]))
    dry = tell(campaign, content, "json", "a.json", True)
    assert not (campaign / LABORATORY).exists()
    wet = tell(campaign, content, "json", "a.json", False)
    assert (dry.results, dry.recorded) == (wet.results, False)


def test_a_correction_says_why_and_both_values_are_kept(campaign):
    name = door.ids(campaign)["AlNi"]
    tell(campaign, door.document(door.row(name, -0.5)), "json", "a.json", False)
    with pytest.raises(RefusedResultsError, match=r"was told before \(-0.5, from a.json\); to correct it, say why"):
        tell(campaign, door.document(door.row(name, -0.6)), "json", "b.json", False)
    receipt = tell(campaign, door.document(door.row(name, -0.6, correction="typing slip")), "json", "b.json", False)
    assert receipt.corrections == (name,)
    assert receipt.notes == (f"{name}: -0.5 becomes -0.6; both are kept",)
    history = read_told(campaign).revisions["calorimetry:AlNi"]
    assert [(one.number, one.result.value, one.source) for one in history] == [(1, -0.5, "a.json"), (2, -0.6, "b.json")]


def test_telling_the_first_file_after_its_correction_does_not_undo_it(campaign):
    name = door.ids(campaign)["AlNi"]
    first = door.document(door.row(name, -0.5))
    tell(campaign, first, "json", "a.json", False)
    tell(campaign, door.document(door.row(name, -0.6, correction="typing slip")), "json", "b.json", False)
    assert not tell(campaign, first, "json", "a.json", False).recorded
    assert newest(campaign, "AlNi").result.value == -0.6


def test_one_bad_row_keeps_the_good_ones_out(campaign):
    names = door.ids(campaign)
    tell(campaign, door.document(door.row(names["TiNi"])), "json", "a.json", False)
    before = (campaign / LABORATORY).read_bytes()
    with pytest.raises(RefusedResultsError):
        tell(campaign, door.document(door.row(names["AlNi"]), door.row(names["AlCo"], 99.0)), "json", "b.json", False)
    assert (campaign / LABORATORY).read_bytes() == before


def test_a_late_result_counts_and_is_noted(campaign, monkeypatch):
    real = mfal.laboratory.tell.datetime

    class Later:
        @staticmethod
        def now(zone):
            return real.now(zone) + timedelta(hours=150)

    monkeypatch.setattr(mfal.laboratory.tell, "datetime", Later)
    name = door.ids(campaign)["AlNi"]
    receipt = tell(campaign, door.document(door.row(name)), "json", "a.json", False)
    assert receipt.late == (name,)
    assert newest(campaign, "AlNi").late_hours == pytest.approx(30.0, abs=0.02)


def test_a_failure_keeps_its_reason(campaign):
    name = door.ids(campaign)["AlNi"]
    row = door.row(name, None, failure="crucible broke", steps={"weighed": True, "melted": False})
    tell(campaign, door.document(row), "json", "a.json", False)
    found = newest(campaign, "AlNi").result
    assert (found.value, found.failure, found.steps["melted"]) == (None, "crucible broke", False)


def test_the_ledger_of_the_laboratory_verifies(campaign):
    tell(campaign, door.document(door.row(door.ids(campaign)["AlNi"])), "json", "a.json", False)
    assert verify(campaign / LABORATORY).sealed == "matches"


def test_an_empty_form_is_refused_until_it_is_filled_in(campaign):
    from mfal.laboratory.ask import ask

    form = results_form(ask(campaign))
    with pytest.raises(RefusedResultsError, match="neither a value nor a failure; leave the row out"):
        tell(campaign, form.encode(), "csv", "form.csv", False)
    header, *rows = form.splitlines()
    filled = [row.replace(",,eV/atom", ",-0.5,eV/atom") for row in rows]
    receipt = tell(campaign, "\n".join([header, *filled]).encode(), "csv", "form.csv", False)
    assert len(receipt.results) == len(door.CANDIDATES)


def test_writers_wait_for_each_other(campaign):
    from threading import Thread

    names = door.ids(campaign)
    jobs = [
        Thread(target=tell, args=(campaign, door.document(door.row(names[one])), "json", f"{one}.json", False))
        for one in door.CANDIDATES
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert set(read_told(campaign).revisions) == {f"calorimetry:{one}" for one in door.CANDIDATES}


def test_what_is_read_is_what_the_fold_of_the_events_says(campaign):
    tell(campaign, door.document(door.row(door.ids(campaign)["AlNi"])), "json", "a.json", False)
    with told_ledger(campaign) as ledger:
        found = ledger.events()
    assert [event.kind for event in found] == [EventKind.RESULTS]
    assert fold_told(found) == read_told(campaign)
