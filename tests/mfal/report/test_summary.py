"""The figures of a campaign, against the ledger read by hand."""

import numpy as np
import pytest

from mfal.baselines.random import expected_eur
from mfal.ledger import EventKind, read_events
from mfal.report.reading import read_campaign
from tests import synthetic


@pytest.fixture(scope="module")
def summary(finished):
    return read_campaign(finished).summary


def payloads(directory, kind):
    return [event.payload for event in read_events(directory) if event.kind == kind]


def test_money_and_counts_are_those_of_the_ledger(summary, finished):
    observations = payloads(finished, EventKind.OBSERVATION)
    assert summary.spent_eur == pytest.approx(sum(o["price_eur"] for o in observations), abs=1e-9)
    measured = {row.candidate: row.spent_eur for row in summary.measured}
    elsewhere = sum(o["price_eur"] for o in observations if o["candidate"] not in measured)
    assert summary.spent_eur == pytest.approx(sum(measured.values()) + elsewhere)
    for name in ("low", "middle", "high"):
        assert summary.asked[name] == sum(o["fidelity"] == name for o in observations)
    assert summary.stopped == payloads(finished, EventKind.STOP)[-1]["reason"]


def test_predictions_are_those_made_before_the_measurement(summary, finished):
    decided = {q["candidate"]: q for d in payloads(finished, EventKind.DECISION)
               for q in d["queries"] if q["fidelity"] == "high"}  # fmt: skip
    assert len(summary.measured) >= 3
    for row in summary.measured:
        assert row.predicted == decided[row.candidate]["mean"]
        assert row.half_width == pytest.approx(1.6449 * np.hypot(decided[row.candidate]["sd"], 0.02))


def test_the_score_knows_the_truth_and_the_funnel(summary):
    truth = synthetic.truth()
    best = [f"c{i:02d}" for i in np.argsort(truth[:, 2])[:3]]
    score = summary.score
    assert list(score.hits) == best
    assert set(score.found) == {row.candidate for row in summary.measured} & set(best)
    ranks = [list(np.argsort(truth[:, 0])).index(int(name[1:])) + 1 for name in best]
    needed = sorted(ranks)[len(score.found) - 1]
    assert score.eur_funnel == pytest.approx(24 * 0.001 + 300.0 * needed)
    assert score.eur_random == expected_eur(len(score.found), 3, 24, 300.0)


def test_measured_are_ranked_best_first(summary):
    values = [row.value for row in summary.ranked]
    assert values == sorted(values)
