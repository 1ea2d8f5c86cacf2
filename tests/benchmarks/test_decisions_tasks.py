"""The replayed campaigns: pools, money, baselines, and what BoTorch's arms are asked about."""

import os
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.decisions import tasks
from benchmarks.decisions.answers import aligned, calibration, merit, rows
from benchmarks.decisions.baselines import at_random, funnel, random_eur
from benchmarks.decisions.curves import Known, begin, ratio_interval, run_arm
from benchmarks.decisions.synthetic import branin, hartmann3, hartmann6, park, synthetic, synthetic_families

needs_data = pytest.mark.skipif("MFAL_DATA" not in os.environ, reason="MFAL_DATA is not set: the tables are not here")


def toy(**changes) -> tasks.Task:
    """Twelve candidates; the cheap source is the target plus an offset, candidates 0, 1 and 2 are best."""
    target = np.arange(12.0)
    values = np.column_stack([target + 100.0, target])
    made = tasks.best_task("toy", target[:, None], values, (1.0, 10.0), top=3, sign=1.0, goal=2, initial=2)
    return replace(made, **changes)


@needs_data
def test_gap_window_has_the_known_pairs_hits_and_rank_correlation():
    task = tasks.gap_window()
    assert task.features.shape == (3372, 10) and task.values.shape == (3372, 2)
    assert int(task.hits.sum()) == 161
    assert spearmanr(*task.values.T)[0] == pytest.approx(0.85, abs=0.005)
    np.testing.assert_allclose(task.features.std(axis=0), 1.0)


@needs_data
def test_alloys_pair_hardness_with_strength():
    task = tasks.alloys()
    assert len(task.values) == 187 and int(task.hits.sum()) == 10
    assert spearmanr(*task.values.T)[0] == pytest.approx(0.79, abs=0.005)
    assert task.values[task.hits, 1].min() >= task.values[~task.hits, 1].max()


def test_missing_data_is_refused_with_the_remedy(monkeypatch, tmp_path):
    monkeypatch.delenv("MFAL_DATA", raising=False)
    with pytest.raises(tasks.DataMissingError, match="MFAL_DATA is not set: download expt_gap"):
        tasks._file("expt_gap.csv", "somewhere")
    monkeypatch.setenv("MFAL_DATA", str(tmp_path))
    with pytest.raises(tasks.DataMissingError, match="download it from somewhere"):
        tasks._file("expt_gap.csv", "somewhere")


def test_published_functions_have_their_published_optima():
    best = np.array([[(np.pi + 5.0) / 15.0, 2.275 / 15.0]])
    assert branin(best)[1][0] == pytest.approx(0.397887, abs=1e-5)
    assert hartmann3(np.array([[0.114614, 0.555649, 0.852547]]))[1][0] == pytest.approx(-3.86278, abs=1e-4)
    six = np.array([[0.20169, 0.150011, 0.476874, 0.275332, 0.311652, 0.6573]])
    assert hartmann6((six - 0.1) / 0.9)[1][0] == pytest.approx(-(2.58 + 3.32237) / 1.94, abs=1e-4)
    assert park(np.ones((1, 4)))[1][0] == pytest.approx(25.5893, abs=1e-3)


@pytest.mark.parametrize("name", ["branin", "park", "hartmann3", "hartmann6"])
def test_bias_distorts_and_ratio_prices(name):
    clean, biased = synthetic(name, 0.0, 30.0), synthetic(name, 2.0, 30.0)
    assert clean.price_eur == (10.0, 300.0) and len(clean.values) == 1000 and int(clean.hits.sum()) == 10
    assert spearmanr(*biased.values.T)[0] < spearmanr(*clean.values.T)[0] - 0.3
    np.testing.assert_array_equal(clean.values[:, 1], biased.values[:, 1])


def test_drawn_tasks_are_seeded_and_correlated_as_they_say():
    first, again = synthetic_families(3), synthetic_families(3)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        assert one.values.shape == (500, 2) and 3.0 <= one.price_eur[1] / one.price_eur[0] <= 300.0


def test_corrupted_tasks_leave_the_target_alone():
    task = toy()
    for corrupted in (tasks.permuted(task, 1), tasks.flipped(task), tasks.constant(task)):
        np.testing.assert_array_equal(corrupted.values[:, 1], task.values[:, 1])
    assert spearmanr(*tasks.flipped(task).values.T)[0] == pytest.approx(-1.0)
    assert tasks.constant(task).values[:, 0].std() == pytest.approx(0.0)
    np.testing.assert_array_equal(np.sort(tasks.permuted(task, 1).values[:, 0]), task.values[:, 0])


@pytest.mark.parametrize("window", [None, (1.5, 2.5)])
def test_a_saved_task_is_the_task(tmp_path, window):
    task = toy(window=window, top=None if window else 3)
    tasks.save(task, tmp_path / "task.npz")
    read = tasks.load(tmp_path / "task.npz")
    for name, value in vars(task).items():
        np.testing.assert_array_equal(getattr(read, name), value, err_msg=name)


def test_the_campaign_starts_without_hits_and_the_same_for_every_arm():
    task = toy()
    for seed in range(20):
        known = begin(task, seed)
        assert known.observed.all(axis=1).sum() == task.initial
        assert not (known.observed[:, 1] & task.hits).any()
        np.testing.assert_array_equal(known.observed, begin(task, seed).observed)


def test_the_funnel_screens_then_measures_down_and_every_euro_is_counted():
    curve = run_arm(funnel, toy(), seed=0, batch=5, limit_eur=1e6)
    assert curve.initial_eur == 22.0
    assert [query[:2] for query in curve.queries[-2:]] == [(0, 1), (1, 1)]
    assert curve.hit_eur == (22.0 + 10.0 + 10.0, 22.0 + 10.0 + 20.0)
    assert curve.money_to_goal == curve.spent_eur == 52.0


def test_the_funnel_corrects_a_bias_for_a_window_but_not_a_ranking():
    window = toy(window=(4.5, 6.5), top=None, hits=np.isin(np.arange(12), [5, 6]))
    curve = run_arm(funnel, window, seed=0, batch=1, limit_eur=1e6)
    assert {candidate for candidate, fidelity, _ in curve.queries if fidelity == 1} == {5, 6}


def test_failed_queries_are_paid_for_and_never_hits():
    values = toy().values.copy()
    values[0, 0] = np.nan
    curve = run_arm(funnel, toy(values=values), seed=0, batch=5, limit_eur=1e6)
    assert (0, 0, 1.0) in curve.queries and (0, 1) not in [query[:2] for query in curve.queries]
    assert curve.money_to_goal == 22.0 + 10.0 + 20.0


def test_random_costs_what_the_expectation_says():
    task = toy()
    mean = np.mean([run_arm(at_random, task, seed, 3, 1e6).money_to_goal for seed in range(400)])
    # 400 campaigns of at most 8 measurements: the mean's standard error is about 0.9 EUR.
    assert mean == pytest.approx(random_eur(task), abs=4.0)


def test_a_limit_ends_the_campaign_and_a_repeated_query_is_refused():
    assert run_arm(funnel, toy(), 0, 5, limit_eur=25.0).money_to_goal == float("inf")
    with pytest.raises(ValueError, match="paid for already"):
        run_arm(lambda known, task, batch, seed: [(0, 0), (0, 0)], toy(), 0, 5, 1e6)


def test_the_paired_interval_covers_the_ratio():
    theirs = np.random.default_rng(0).uniform(50.0, 150.0, 40)
    found = ratio_interval(0.5 * theirs, theirs)
    assert (found.low, found.ratio, found.high) == pytest.approx((0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="raise the limit"):
        ratio_interval(np.array([1.0, np.inf]), np.array([1.0, 1.0]))


def test_alignment_puts_the_cheap_source_in_units_of_the_target():
    assert calibration(np.array([1.0, 2.0, np.nan]), np.array([3.0, 5.0, 9.0])) == pytest.approx((2.0, 1.0))
    assert calibration(np.ones(3), np.array([1.0, 2.0, 3.0])) == pytest.approx((0.0, 2.0))
    task = toy(initial=4)
    known = begin(task, 0)
    known.observed[:, 0], known.values[:, 0] = True, task.values[:, 0]
    np.testing.assert_allclose(aligned(known, task)[:, 0], task.values[:, 1], atol=1e-9)


def test_rows_put_targets_first_then_their_partners():
    task = toy(initial=3)
    known = begin(task, 0)
    known.observed[:, 0], known.values[:, 0] = True, task.values[:, 0]
    outcomes = merit(aligned(known, task), task)
    data = rows(outcomes, outcomes, task, seed=0)
    assert data.fidelity.tolist() == [1] * 3 + [0] * 12
    assert set(data.candidate[:3]) == set(data.candidate[3:6])
    np.testing.assert_allclose(data.outcome[:3] * data.spread + data.mean, outcomes[data.candidate[:3], 1])


# linear_operator makes sparse tensors the way that torch now warns of.
torch_warns = pytest.mark.filterwarnings("ignore:Sparse invariant checks:UserWarning")


@pytest.fixture
def peers():
    pytest.importorskip("botorch", reason="BoTorch is not installed")
    from benchmarks.decisions import peers

    return peers


@pytest.fixture
def half_way() -> tuple[Known, tasks.Task]:
    task = toy(initial=5)
    known = begin(task, 0)
    known.observed[:8, 0], known.values[:8, 0] = True, task.values[:8, 0]
    return known, task


@torch_warns
def test_max_value_entropy_asks_about_the_target(peers, half_way):
    known, task = half_way
    outcomes, points = merit(aligned(known, task), task), peers.unit_cube(task.features)
    data = rows(outcomes, outcomes, task, 0)
    model = peers.fit_multi_fidelity(data, points, task)
    acquisition = peers.entropy_per_eur(model, points[~known.observed[:, task.target]], task)
    target = peers.fidelity_numbers(task)[task.target]
    trained = model.train_inputs[0][:, -1].cpu().numpy()
    np.testing.assert_array_equal(trained == target, data.fidelity == task.target)
    asked = acquisition.project(peers.with_column(points, 0.5))[:, -1].cpu().numpy()
    np.testing.assert_array_equal(asked, target)
    np.testing.assert_array_equal(acquisition.candidate_set[:, -1].cpu().numpy(), target)
    prices = acquisition.cost_aware_utility.cost_model(peers.with_column(points[:1], target))
    assert float(prices) == task.price_eur[task.target]


@torch_warns
def test_improvement_asks_about_the_target(peers, half_way):
    known, task = half_way
    outcomes, points = merit(aligned(known, task), task), peers.unit_cube(task.features)
    data = rows(outcomes, outcomes, task, 0, by_level=True)
    model = peers.fit_multi_task(data, points, task)
    np.testing.assert_array_equal(model.train_inputs[0][:, -1].cpu().numpy(), data.fidelity)
    mean, spread, correlation = peers.joint_moments(model, points, task)
    posterior = model.posterior(peers.with_column(points, float(task.target)))
    np.testing.assert_allclose(mean, posterior.mean.detach().cpu().numpy()[:, 0], rtol=1e-6)
    np.testing.assert_allclose(spread**2, posterior.variance.detach().cpu().numpy()[:, 0], rtol=1e-4)
    np.testing.assert_allclose(correlation[:, task.target], 1.0)


@pytest.mark.slow
@pytest.mark.parametrize("window", [None, (0.5, 2.5)])
@pytest.mark.parametrize("name", ["botorch_mf_mes", "botorch_multitask_ei", "botorch_single_ei", "botorch_screened_ei"])
@torch_warns
def test_every_arm_asks_for_new_queries_within_its_slots(peers, half_way, name, window):
    known, task = half_way
    task = replace(task, window=window)
    known.observed[:, 0], known.values[:, 0] = True, task.values[:, 0]
    queries = getattr(peers, name)(known, task, 2, 0)
    assert len(set(queries)) == len(queries) == 2
    assert not any(known.observed[query] for query in queries)
    assert queries == getattr(peers, name)(known, task, 2, 0)
