"""The figures of a campaign, against the ledger read by hand."""

from pathlib import Path

import numpy as np
import pytest

from mfal.baselines.random import expected_eur
from mfal.campaign.config import parse
from mfal.ledger import EventKind, read_events
from mfal.oracle import Observation
from mfal.report.reading import read_campaign
from mfal.report.score import score
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


def observation(name, fidelity, value, price=1.0):
    return Observation(name, fidelity, value, None, price, None if value is not None else "failed")


TRUTH = {"a": -3.0, "b": -2.0, "c": 0.1, "d": 0.4, "e": 5.0, "f": float("nan")}
# The screening of "c" and "d" is right, that of the others is not.
SCREENED = {"a": 0.5, "b": -2.5, "c": 0.1, "d": 0.4, "e": -9.0, "f": -3.0}


def scored(measured, **question):
    """Score a ladder of a screening at EUR 1 and a target at EUR 100 after these measurements."""
    rungs = [{**synthetic.RAW["fidelity"][0], "price_eur": 1.0}, {**synthetic.RAW["fidelity"][2], "price_eur": 100.0}]
    raw = {**synthetic.RAW, "fidelity": rungs}
    head = {k: v for k, v in raw["campaign"].items() if k not in ("best", "top", "value_of_hit_eur")}
    config = parse({**raw, "campaign": {**head, **question}}, Path("synthetic.toml"))
    answers = [observation(name, "low", value) for name, value in SCREENED.items()]
    answers += [observation(name, "high", None if name == "f" else TRUTH[name], 100.0) for name in measured]
    return score(config, 6, answers, TRUTH)


def test_the_score_of_a_window_counts_those_inside():
    found = scored("ca", window=[0.0, 0.5], value_of_hit_eur=500.0)
    assert found.hits == ("c", "d")
    assert found.found == ("c",)
    assert (found.reached, found.possible, found.needed) == (1.0, 2.0, 1)
    assert found.eur_funnel == pytest.approx(6.0 + 100.0)
    assert found.eur_random == expected_eur(1, 2, 5, 100.0)
    assert found.funnel[0] == (6.0, 0.0)
    assert found.funnel[-1][1] == 2.0


def test_the_score_of_an_improvement_is_the_best_value():
    found = scored("fcb", best="lowest", value_per_unit_eur=100.0)
    assert (found.hits, found.found) == (("a",), ())
    assert (found.reached, found.possible, found.sign) == (-2.0, -3.0, -1.0)
    assert found.as_good == {"a", "b"}
    # Down the screening: e, f (fails), b.
    assert found.eur_funnel == pytest.approx(6.0 + 300.0)
    assert found.eur_random == expected_eur(1, 2, 5, 100.0)
    assert [value for _, value in found.funnel[1:]] == [5.0, 5.0, -2.0, -2.0, -2.0, -3.0]
    highest = scored("c", best="highest", value_per_unit_eur=100.0)
    assert (highest.reached, highest.possible, highest.as_good) == (0.1, 5.0, {"c", "d", "e"})


@pytest.mark.parametrize(
    "question", [{"best": "lowest", "value_per_unit_eur": 1.0}, {"window": [0.0, 0.5], "value_of_hit_eur": 1.0}]
)
def test_nothing_measured_yet_is_a_score_too(question):
    found = scored("", **question)
    assert (found.found, found.needed, found.eur_random) == ((), 0, 0.0)
    assert found.reached == (None if "best" in question else 0.0)


def test_a_window_that_holds_nothing_has_no_hits():
    found = scored("c", window=[10.0, 11.0], value_of_hit_eur=500.0)
    assert (found.hits, found.reached, found.possible) == ((), 0.0, 0.0)


def test_without_a_whole_screening_there_is_no_funnel(summary):
    config, observations = summary.config, [observation("c01", "low", 0.1), observation("c01", "high", 0.2)]
    found = score(config, 24, observations, dict(enumerate_truth()))
    assert (found.funnel, found.eur_funnel) == ((), None)


def enumerate_truth():
    return ((f"c{i:02d}", float(value)) for i, value in enumerate(synthetic.truth()[:, 2]))
