"""Whole campaigns through the door: equal to the replay, corrected on the way, killed on the way."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mfal.campaign.build import recorded_rules
from mfal.campaign.history import Progress, fold
from mfal.campaign.loop import Campaign
from mfal.campaign.record import recorded_observations
from mfal.errors import TamperedLedgerError
from mfal.laboratory.agreement import check_agreement
from mfal.laboratory.ask import ask, begin
from mfal.laboratory.sign import Decision, sign
from mfal.laboratory.tell import tell
from mfal.ledger import EventKind, read_events
from tests.mfal.laboratory import door, scripted

ROOT = Path(__file__).parents[3]


def replayed(directory: Path) -> Progress:
    """Fold a ledger again, every decision compared bit for bit."""
    events = read_events(directory)
    return fold(recorded_rules(events[0].payload)[1], events, check=True)


def kinds(directory: Path) -> list[str]:
    return [event.kind for event in read_events(directory)]


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """Directory of a campaign whose first batch waits; copy it, do not write to it."""
    directory = tmp_path_factory.mktemp("asked") / "campaign"
    begin(scripted.manned(), directory)
    return directory


@pytest.fixture
def campaign(asked, tmp_path):
    return Path(shutil.copytree(asked, tmp_path / "campaign"))


def test_a_scripted_laboratory_leads_to_what_the_replay_leads_to(campaign, finished):
    batch = scripted.to_the_end(campaign)
    assert scripted.course(campaign) == scripted.course(finished)
    assert batch.queries == []
    assert "no query is expected to gain" in str(batch.stopped)
    assert replayed(campaign).decisions > 2
    places = ("ledger.sqlite", "laboratory.sqlite")
    said = [json.dumps(dict(event.payload)).lower() for place in places for event in read_events(campaign / place)]
    assert not any("novel" in text for text in said), "no machine says anything of novelty"


def test_asking_twice_gives_the_same_batch_and_writes_nothing(campaign):
    before = (campaign / "ledger.sqlite").read_bytes()
    first = ask(campaign)
    assert len(first.queries) == 3
    assert ask(campaign) == first
    assert (campaign / "ledger.sqlite").read_bytes() == before


def test_on_a_declared_clock_a_batch_is_learnt_from_when_it_is_complete(campaign):
    first = ask(campaign)
    tell(campaign, scripted.measure(first.queries[:1]), "json", "part.json", False)
    before = (campaign / "ledger.sqlite").read_bytes()
    assert [query.id for query in ask(campaign).queries] == [query.id for query in first.queries[1:]]
    assert (campaign / "ledger.sqlite").read_bytes() == before


def test_on_the_wall_clock_every_result_counts_at_once(tmp_path):
    directory = tmp_path / "wall"
    begin(scripted.manned(clock="wall"), directory)
    first = ask(directory)
    tell(directory, scripted.measure(first.queries[:1]), "json", "part.json", False)
    second = ask(directory)
    assert first.queries[0].id not in {query.id for query in second.queries}
    learnt = [one.candidate for one in recorded_observations(read_events(directory)) if one.fidelity == "high"]
    assert learnt == [first.queries[0].candidate]
    replayed(directory)


def test_a_running_campaign_takes_in_what_is_told_meanwhile(campaign, finished):
    running = Campaign.resume(campaign)

    def laboratory(_: Campaign) -> None:
        waiting = ask(campaign)
        if waiting.queries:
            tell(campaign, scripted.measure(waiting.queries), "json", "a.json", False)

    running.run(laboratory)
    running.close()
    assert scripted.course(campaign) == scripted.course(finished)
    assert ask(campaign).state == "stopped"


def test_a_correction_is_learnt_from_and_replays_bit_for_bit(campaign):
    first = ask(campaign)
    wrong = first.queries[0]
    tell(campaign, scripted.measure(first.queries, lambda q: scripted.true_value(q) + 0.5 * (q is wrong)),
         "json", "a.json", False)  # fmt: skip
    ask(campaign)
    row = door.row(wrong.id, scripted.true_value(wrong), correction="wrong cell of the sheet", price_eur=350.0)
    tell(campaign, door.document(row), "json", "b.json", False)
    ask(campaign)
    events = read_events(campaign)
    told = [e.payload for e in events if e.kind in ("observation", "correction")]
    values = [payload["value"] for payload in told if payload["key"] == f"high:{wrong.candidate}"]
    assert values == pytest.approx([scripted.true_value(wrong) + 0.5, scripted.true_value(wrong)])
    assert kinds(campaign).index("correction") < len(events) - 1, "something was decided on the new value"
    progress = replayed(campaign)
    counted = {one.key: one for one in recorded_observations(events)}
    assert counted[f"high:{wrong.candidate}"].value == scripted.true_value(wrong)
    assert float(progress.state.spent_eur) == pytest.approx(sum(one.price_eur for one in counted.values()))
    assert {one.key: one for one in progress.observations} == counted


def test_a_correction_sets_a_stopped_campaign_going_again(campaign):
    scripted.to_the_end(campaign)
    best = min((o for o in recorded_observations(read_events(campaign)) if o.fidelity == "high"), key=lambda o: o.value)
    row = door.row(best.details["id"], 0.9, correction="another sample")
    tell(campaign, door.document(row), "json", "b.json", False)
    batch = ask(campaign)
    assert kinds(campaign)[-1] in ("decision", "stop")
    assert "correction" in kinds(campaign)
    assert batch.state in ("waiting", "stopped")
    assert ask(campaign) == batch
    replayed(campaign)


def test_a_rejected_result_is_a_failure_and_accepted_again_it_counts(campaign):
    first = ask(campaign)
    tell(campaign, scripted.measure(first.queries), "json", "a.json", False)
    ask(campaign)
    name, key = first.queries[0].id, f"high:{first.queries[0].candidate}"
    sign(campaign, Decision(name, False, "Ana", "wrong sample", None))
    ask(campaign)
    rejected = {one.key: one for one in recorded_observations(read_events(campaign))}[key]
    assert (rejected.value, rejected.failure) == (None, "rejected by Ana: wrong sample")
    assert rejected.price_eur == 300.0, "what was paid stays paid"
    sign(campaign, Decision(name, True, "Ana", "it was the right one", None))
    ask(campaign)
    accepted = {one.key: one for one in recorded_observations(read_events(campaign))}[key]
    assert accepted.value == scripted.true_value(first.queries[0])
    assert kinds(campaign).count("correction") == 2
    replayed(campaign)


def test_what_is_rejected_before_it_is_learnt_from_is_never_learnt_from(campaign):
    first = ask(campaign)
    tell(campaign, scripted.measure(first.queries), "json", "a.json", False)
    sign(campaign, Decision(first.queries[0].id, False, "Ana", "wrong sample", None))
    ask(campaign)
    assert "correction" not in kinds(campaign)
    counted = {one.key: one for one in recorded_observations(read_events(campaign))}
    assert counted[f"high:{first.queries[0].candidate}"].failure == "rejected by Ana: wrong sample"


def run(directory: Path, *arguments: object) -> int:
    command = [sys.executable, "-m", "tests.mfal.laboratory.scripted", str(directory), *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode


def test_another_laboratorys_ledger_in_its_place_is_noticed(campaign):
    first = ask(campaign)
    tell(campaign, scripted.measure(first.queries), "json", "a.json", False)
    ask(campaign)
    assert check_agreement(campaign) == len(first.queries)
    for file in campaign.glob("laboratory.*"):
        file.unlink()
    tell(campaign, scripted.measure(first.queries), "json", "a.json", False)
    with pytest.raises(TamperedLedgerError, match=r"was learnt from, but .*laboratory.sqlite does not tell it so"):
        check_agreement(campaign)


@pytest.mark.parametrize("kills", [(4,), pytest.param(tuple(range(2, 12)), marks=pytest.mark.slow)], ids=len)
def test_a_campaign_killed_between_ask_and_tell_is_the_undisturbed_one(campaign, finished, kills):
    """Each kill strikes right after so many further events: decisions, answers and resumptions are among them."""
    survived = [run(campaign, count) == -signal.SIGKILL for count in kills]
    assert any(survived), "at least one kill hit a running campaign"
    assert survived[0]
    scripted.to_the_end(campaign)
    assert scripted.course(campaign) == scripted.course(finished)
    keys = [answer["key"] for answer in scripted.course(campaign)["answers"]]
    assert len(keys) == len(set(keys))
    told = [e.payload["results"] for e in read_events(campaign / "laboratory.sqlite") if e.kind == EventKind.RESULTS]
    measured = [row["id"] for rows in told for row in rows]
    assert len(measured) == len(set(measured)), "nothing was measured twice"
    replayed(campaign)
