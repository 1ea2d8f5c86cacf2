"""Do no harm: a source that knows something helps, one that was shuffled does not, and the report says so."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mfal.campaign.config import parse
from mfal.oracle import Observation
from mfal.report import worth
from mfal.report.reading import read_campaign
from mfal.report.worth import DOES_NOT_PAY, HELPS, NO_DIFFERENCE, UNKNOWN, judge, source_evidence
from tests import synthetic

SIZE, MEASURED = 40, 12


def config(surrogate="auto", price=0.001):
    rungs = [{**synthetic.RAW["fidelity"][0], "price_eur": price}, synthetic.RAW["fidelity"][2]]
    source = {"source": "synthetic", "options": {"size": SIZE}}
    raw = {**synthetic.RAW, "fidelity": rungs, "candidates": source, "model": {"surrogate": surrogate}}
    return parse(raw, Path("synthetic.toml"))


def world(kind, seed):
    """Rough truth, so that descriptors say nothing, and a cheap source: honest, shuffled, flat, or mirrored."""
    rng = np.random.default_rng(seed)
    high = rng.normal(0.0, 0.5, SIZE)
    low = high + 0.05 * rng.normal(size=SIZE)
    low = {"honest": low, "mirrored": -low, "shuffled": rng.permutation(low), "flat": np.full(SIZE, 0.3)}[kind]
    measured = rng.permutation(SIZE)[:MEASURED]
    answers = [Observation(f"c{i:02d}", "low", float(low[i]), None, 0.001) for i in range(SIZE)]
    return answers + [Observation(f"c{i:02d}", "high", float(high[i]), None, 300.0) for i in measured]


@pytest.mark.parametrize("surrogate", ["recursive", "joint"])
def test_evidence_tells_sources_that_know_something_from_those_that_do_not(surrogate):
    """Four seeds; an honest source leaves a tenth of the spread of 12 answers open: 12 log 10 = 28 nats."""
    pool, chosen = synthetic.pool({"size": SIZE}), config(surrogate)
    for seed in range(4):
        kinds = ("honest", "mirrored", "shuffled", "flat")
        found = {kind: source_evidence(chosen, pool, world(kind, seed)) for kind in kinds}
        for kind, (sources, together) in found.items():
            assert sources == pytest.approx([together], abs=1e-6), f"one source alone is all of them: {kind}"
        assert found["honest"][1] > 10.0
        assert found["mirrored"][1] > 5.0, "the slope is learnt, whatever its sign"
        assert found["shuffled"][1] < worth._POSITIVE + 1.0
        assert abs(found["flat"][1]) < worth._POSITIVE


def test_the_words_follow_from_evidence_and_money():
    said = lambda nats, paid: worth._source("x", nats, {"x": paid}, 1000.0).verdict  # noqa: E731
    assert said(5.0, 100.0) == HELPS
    assert said(0.5, 1.0) == said(-0.5, 0.0) == NO_DIFFERENCE
    assert said(0.5, 100.0) == said(-2.0, 0.0) == DOES_NOT_PAY
    assert said(None, 100.0) == UNKNOWN


def test_the_synthetic_campaign_is_judged(finished):
    found = judge(read_campaign(finished))
    assert [row.source for row in found.sources] == ["low", "middle"]
    assert found.answers >= 3
    assert found.nats is not None
    assert found.eur_single > 900.0
    assert found.pays is True
    assert f"single-fidelity search gets as far for EUR {found.eur_single:,.0f}" in found.verdict


def test_where_single_fidelity_is_cheaper_the_verdict_says_so(finished):
    reading = read_campaign(finished)
    spent = replace(reading, summary=replace(reading.summary, spent_eur=1e6))
    pays, verdict = worth._verdict(spent, 5.0, 1500.0)
    assert pays is False
    assert verdict == "multi-fidelity does not pay here: single-fidelity search gets as far for EUR 1,500"
    assert worth._verdict(reading, 5.0, None)[0] is True


def test_without_a_truth_evidence_decides(finished):
    reading = read_campaign(finished)
    blind = replace(reading, truth=None, summary=replace(reading.summary, score=None))
    assert worth._verdict(blind, 0.2, None) == (
        False, "multi-fidelity does not pay here: the other sources do not help to foretell the target",
    )  # fmt: skip
    assert worth._verdict(blind, 9.0, None)[0] is True
    assert worth._verdict(blind, None, None)[0] is None
    assert worth._eur_single(blind, blind.pool) is None


def test_too_few_answers_and_missing_packages_are_no_error(finished):
    reading = read_campaign(finished)
    early = replace(reading, events=reading.events[:3], truth=None, summary=replace(reading.summary, score=None))
    assert {row.verdict for row in judge(early).sources} == {UNKNOWN}
    assert judge(replace(reading, pool=None)).pays is None
