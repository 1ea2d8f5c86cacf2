"""The live campaign on a synthetic truth: it finds, it replays, it survives failures and interruptions."""

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from mfal.campaign.build import recorded_rules
from mfal.campaign.config import parse
from mfal.campaign.history import digest, fold
from mfal.campaign.loop import Campaign
from mfal.errors import LedgerError, OracleError, ReplayMismatchError
from mfal.ledger import EventKind, Ledger, read_events
from mfal.oracle import Observation
from tests import synthetic


def run(config, directory, watch=lambda _: None):
    campaign = Campaign.start(config, directory)
    try:
        return campaign.run(watch)
    finally:
        campaign.close()


def replayed(directory, check=True):
    events = read_events(directory)
    return fold(recorded_rules(events[0].payload)[1], events, check)


def at(progress, fidelity):
    return [o for o in progress.observations if o.fidelity == fidelity]


def test_the_true_best_three_are_found_for_less_than_measuring_everything(finished):
    progress = replayed(finished, check=False)
    best = {f"c{i:02d}" for i in np.argsort(synthetic.truth()[:, 2])[:3]}
    measured = {o.candidate for o in at(progress, "high")}
    assert best <= measured
    assert len(measured) <= 8
    assert progress.stopped == "no query is expected to gain more than its price"
    assert progress.flights == ()
    assert float(progress.state.spent_eur) == pytest.approx(sum(o.price_eur for o in progress.observations))
    assert float(progress.state.spent_eur) <= 4000.0


def test_no_query_is_asked_twice_and_every_answer_was_asked_for(finished):
    asked = Counter(json.loads(line) for line in (finished / "worked.jsonl").read_text().splitlines())
    assert set(asked.values()) == {1}
    assert set(asked) == {o.key for o in replayed(finished, check=False).observations}


def test_replay_reproduces_every_decision_bit_for_bit(finished):
    assert replayed(finished).decisions > 3


def test_replay_notices_a_decision_that_the_policy_would_not_take(finished):
    events = read_events(finished)
    rules = recorded_rules(events[0].payload)[1]
    index = next(k for k, e in enumerate(events) if e.kind == EventKind.DECISION and k > 1)
    query, *rest = events[index].payload["queries"]
    changed = {**events[index].payload, "queries": [{**query, "gain": np.nextafter(query["gain"], 1e9)}, *rest]}
    events[index] = type(events[index])(**{**vars(events[index]), "payload": changed})
    with pytest.raises(ReplayMismatchError, match="queries was"):
        fold(rules, events, check=True)


def test_a_second_start_in_the_same_directory_is_refused(finished):
    with pytest.raises(LedgerError, match="mfal resume"):
        Campaign.start(synthetic.config(), finished)


def test_resuming_where_there_is_nothing_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="holds no campaign"):
        Campaign.resume(tmp_path)


def test_resuming_a_finished_campaign_changes_nothing(finished, tmp_path):
    directory = tmp_path / "copy"
    shutil.copytree(finished, directory)
    before = read_events(directory)
    campaign = Campaign.resume(directory)
    progress = campaign.run(lambda _: None)
    campaign.close()
    assert read_events(directory) == before
    assert digest(progress.state) == digest(replayed(finished, check=False).state)


@pytest.mark.parametrize("after", [1, 4, 7])
def test_an_interrupted_campaign_goes_on_as_if_nothing_had_happened(finished, tmp_path, after):
    calls = 0

    def interrupt(_):
        nonlocal calls
        calls += 1
        if calls == after:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(synthetic.config(), tmp_path / "cut", interrupt)
    campaign = Campaign.resume(tmp_path / "cut")
    assert campaign.progress.stopped is None
    progress = campaign.run(lambda _: None)
    campaign.close()
    whole = replayed(finished, check=False)
    assert progress.observations == whole.observations
    assert digest(progress.state) == digest(whole.state)


def test_answers_that_are_not_numbers_become_failures(tmp_path):
    progress = run(synthetic.with_options("high", nan=["c20", "c10"]), tmp_path)
    failed = {o.candidate: o.failure for o in at(progress, "high") if o.failure}
    assert set(failed) == {"c20", "c10"}
    assert all("not finite" in reason for reason in failed.values())
    assert len(at(progress, "high")) > 2


def test_a_ledger_without_a_first_event_is_started_again(tmp_path):
    Ledger.create(tmp_path / "ledger.sqlite").close()
    with pytest.raises(LedgerError, match="holds no campaign"):
        Campaign.resume(tmp_path)
    assert run(synthetic.config(), tmp_path).stopped


@pytest.mark.parametrize("fidelity", ["low", "middle", "high"])
def test_a_source_that_always_fails_is_survived(tmp_path, fidelity):
    progress = run(synthetic.with_options(fidelity, fail_all=True), tmp_path)
    assert all(o.failure == "did not converge" for o in at(progress, fidelity))
    assert progress.stopped
    if fidelity == "low":
        # All of it was in flight before the first failure came back; nothing needs it but the middle.
        assert at(progress, "middle") == []
        assert at(progress, "high")
    if fidelity == "middle":
        assert 3 <= len(at(progress, "middle")) <= 2 + 4
        assert at(progress, "high")
    if fidelity == "high":
        # Three in a row close the source; up to two more were in flight by then.
        assert 3 <= len(at(progress, "high")) <= 5
        assert progress.stopped.startswith("every query that could be asked has been asked, or its fidelity keeps")
        assert "high failed 3 times in a row" in progress.stopped
        assert "did not converge); mend it, or raise failure_limit" in progress.stopped
    assert float(progress.state.spent_eur) <= 4000.0


def test_a_failed_candidate_is_not_asked_again_at_that_source(tmp_path):
    progress = run(synthetic.with_options("high", fail=["c20"]), tmp_path)
    assert [o.failure for o in at(progress, "high") if o.candidate == "c20"] == ["did not converge"]
    assert sum(o.failure is None for o in at(progress, "high")) >= 2


@pytest.mark.parametrize("stray", ["c99", "c01"])
def test_an_answer_nobody_asked_for_is_an_error_of_the_oracle(tmp_path, stray):
    campaign = Campaign.start(synthetic.config(), tmp_path)
    answer = Observation(stray, "high", 0.0, None, 1.0)
    campaign.oracles["high"].ready.append(answer)
    with pytest.raises(OracleError, match=f"high answered high:{stray}, which it was not asked"):
        campaign.run(lambda _: None)
    campaign.close()
    assert [e.kind for e in read_events(tmp_path)] == [EventKind.CAMPAIGN, EventKind.DECISION]


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_an_impossible_charge_is_an_error_of_the_oracle(tmp_path, price):
    campaign = Campaign.start(synthetic.config(), tmp_path)
    campaign.oracles["low"].price = price
    with pytest.raises(OracleError, match="was charged"):
        campaign.run(lambda _: None)
    campaign.close()


def test_another_pool_than_the_recorded_one_is_refused(finished, monkeypatch):
    events = read_events(finished)
    original = synthetic.pool
    monkeypatch.setattr(synthetic, "pool", lambda options: original({**options, "seed": 1}))
    with pytest.raises(LedgerError, match="candidates differ"):
        recorded_rules(events[0].payload)


def test_without_gains_in_eur_a_campaign_runs_to_its_budget_and_says_why(tmp_path):
    plain = synthetic.asking(best="lowest", value_per_unit_eur=1000.0)
    model = plain.model.model_copy(update={"acquisition": "improvement"})
    progress = run(plain.model_copy(update={"model": model}), tmp_path)
    assert 4000.0 - 300.0 < float(progress.state.spent_eur) <= 4000.0
    assert progress.stopped.startswith("what is left of the budget pays for no query; the acquisition 'improvement'")
    assert "knows no value of stopping" in progress.stopped
    assert min(o.value for o in at(progress, "high")) == synthetic.truth()[:, 2].min()


WINDOW = {"window": [-0.5, -0.2], "value_of_hit_eur": 2000.0}
IMPROVEMENT = {"best": "highest", "value_per_unit_eur": 5000.0}


@pytest.mark.parametrize(
    "question",
    [pytest.param(WINDOW, id="window"), pytest.param(IMPROVEMENT, id="improvement", marks=pytest.mark.slow)],
)
def test_the_other_questions_are_answered_too(tmp_path, question):
    progress = run(synthetic.asking(**question), tmp_path)
    truth = synthetic.truth()[:, 2]
    measured = {int(o.candidate[1:]) for o in at(progress, "high")}
    if "window" in question:
        inside = set(np.flatnonzero((truth >= -0.5) & (truth <= -0.2)))
        assert len(measured & inside) >= 0.7 * len(inside)
    else:
        assert truth.argmax() in measured
    assert len(measured) <= 12
    assert progress.stopped == "no query is expected to gain more than its price"
    replayed(tmp_path)


@pytest.mark.slow
def test_on_the_wall_clock_answers_count_when_they_come(tmp_path):
    raw = synthetic.in_background(0.02).model_dump()
    raw["campaign"] |= {"clock": "wall", "budget_eur": 700.0}
    progress = run(parse(raw, Path("synthetic.toml")), tmp_path)
    assert progress.stopped
    assert at(progress, "high")
    assert 0.0 < progress.hours < 1.0
    replayed(tmp_path)
