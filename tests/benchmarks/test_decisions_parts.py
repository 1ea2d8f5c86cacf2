"""The parts of the decision benchmark: our arm's money, bad sources, prediction scores, timing and its refusals."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import __main__ as command
from benchmarks.decisions import calibration, compilations, harm, speed, speed_ours, tasks
from benchmarks.decisions.curves import run_arm
from benchmarks.decisions.ours import Ours

# The shape that the parts share here, so that the arm compiles once.
POOL = 40


@pytest.fixture(scope="module")
def task() -> tasks.Task:
    """Return a smooth pool whose cheap source is the target plus an offset and a little of its own."""
    random = np.random.default_rng(0)
    x = random.random((POOL, 2))
    target = np.sin(4.0 * x[:, 0]) + x[:, 1]
    values = np.column_stack([target + 3.0 + 0.1 * random.standard_normal(POOL), target])
    return tasks.best_task("toy", x, values, (1.0, 300.0), top=4, sign=1.0, goal=2, initial=5)


@pytest.mark.slow
def test_our_arm_reaches_its_goal_and_spends_what_it_says(task):
    curve = run_arm(Ours(), task, seed=0, batch=2, limit_eur=1e9)
    asked = [query[:2] for query in curve.queries]
    assert len(set(asked)) == len(asked)
    assert curve.initial_eur == 5 * 301.0
    prices = sum(task.price_eur[fidelity] for _, fidelity in asked)
    assert curve.money_to_goal == pytest.approx(curve.initial_eur + prices)
    assert sum(bool(task.hits[candidate]) for candidate, fidelity in asked if fidelity == 1) == task.goal


@pytest.mark.slow
def test_the_target_alone_keeps_hits_and_initial_candidates(task):
    alone = tasks.target_only(task)
    np.testing.assert_array_equal(alone.values[:, 0], task.values[:, 1])
    np.testing.assert_array_equal(alone.hits, task.hits)
    assert alone.price_eur == (300.0,) and alone.target == 0
    assert np.isfinite(harm.money(alone, seed=0))


def test_small_tasks_share_one_shape_and_hold_all_hits():
    drawn = [task for seed in range(3) for task in harm.small_tasks(seed)]
    assert {task.values.shape for task in drawn} == {(harm.POOL, 2)}
    assert {int(task.hits.sum()) for task in drawn} == {harm.TOP}


def test_an_honest_prediction_is_judged_honest(task):
    # 20 000 answers: the standard error of the coverage is at most 0.004.
    truth = np.random.default_rng(0).standard_normal(20_000)
    large = replace(task, values=np.column_stack([truth, truth]))
    known = calibration.hold_out(large, trained=10, seed=0)
    assert known.observed.sum(axis=0).tolist() == [20_000, 10]
    found = calibration.judge((np.zeros(20_000), np.full(20_000, truth.std())), large, known)
    assert found.coverage == pytest.approx(calibration.LEVELS, abs=0.02)
    assert found.nlpd == pytest.approx(0.5 + 0.5 * np.log(2.0 * np.pi), abs=0.02)


@pytest.mark.slow
def test_our_surrogates_predict_better_than_the_prior_would(task):
    known = calibration.hold_out(task, trained=12, seed=0)
    found = calibration.judge(calibration.OURS["recursive"](task, known), task, known)
    assert found.nlpd < 0.5 * np.log(2.0 * np.pi) + 0.5


def test_calibration_names_the_better_peer():
    honesty = calibration.Honesty
    found = {("gap", "ours"): honesty(1.0, (0.5, 0.8, 0.9)), ("gap", "a"): honesty(3.0, (0.1, 0.2, 0.3))}
    figures = calibration._figures(found | {("gap", "b"): honesty(2.0, (0.4, 0.7, 0.9))}, ["a", "b"])
    assert figures["calibration_peer"] == "b" and figures["nlpd_botorch"] == 2.0
    assert figures["coverage80_botorch"] == 0.7 and figures["coverage95_ours"] == 0.9


@pytest.mark.slow
def test_our_decision_is_timed_in_all_its_parts():
    asked, known = speed.campaign(60, 20, 10, 3)
    ours = speed_ours.our_decision(asked, known)
    assert set(ours.decision) == set(ours.pick) == {"best", "window", "entropy"}
    assert all(seconds > 0.0 for seconds in (ours.fit, ours.condition, ours.extend, *ours.decision.values()))
    assert not any(known.observed[first] for first in ours.first.values())
    entropy = np.where(known.observed, -np.inf, np.ones(known.observed.shape))
    # Where all candidates are alike, any choice is the best.
    alike = np.zeros(60), np.ones(60), np.ones((60, 2))
    theirs = speed.PeerDecision(1.0, 2.0, False, 20.0, 1.0, 0.5, 1, entropy, alike, 0.0)
    figures = speed_ours._peer_figures(asked, ours, theirs, "60")
    assert figures["botorch_decision_s_60"] == 16.0 and figures["botorch_stock_decision_s_60"] == 142.0
    assert figures["chosen_value_ratio"] == 1.0


@pytest.mark.slow
def test_growing_data_compile_nothing_again(monkeypatch):
    monkeypatch.setattr(compilations, "POOL", POOL)
    monkeypatch.setattr(compilations, "CHEAP", 8)
    monkeypatch.setattr(compilations, "DEAR", 6)
    monkeypatch.setattr(compilations, "FEATURES", 2)
    figures = compilations.measure_compilations(smoke=True)
    assert figures["recompilations"] == 0 and figures["first_compilations"] > 0


def test_a_missing_table_is_said_and_exits_with_two(monkeypatch, capsys):
    pytest.importorskip("botorch", reason="BoTorch is not installed")
    monkeypatch.delenv("MFAL_DATA", raising=False)
    tasks.alloys.cache_clear()
    monkeypatch.setattr("sys.argv", ["benchmarks", "decisions", "--smoke"])
    assert command.main() == 2
    assert "MFAL_DATA is not set" in capsys.readouterr().err
