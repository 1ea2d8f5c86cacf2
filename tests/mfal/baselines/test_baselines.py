"""Baselines against counting and by hand; single-fidelity search on a synthetic truth."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy.special import comb

from mfal.baselines.funnel import corrected_order, curve, eur_to_reach, funnel_order
from mfal.baselines.random import best_after, expected_eur, hits_after
from mfal.baselines.single_fidelity import single_fidelity_order, target_alone
from mfal.campaign.config import parse
from tests import synthetic


@pytest.mark.parametrize("count, hits, candidates", [(1, 5, 40), (3, 5, 40), (5, 5, 40), (2, 2, 2), (1, 1, 7)])
def test_expected_cost_of_random_order_against_monte_carlo(count, hits, candidates):
    """Five standard errors of 20 000 shuffles."""
    rng = np.random.default_rng(0)
    ranks = np.sort(rng.random((20000, candidates)).argsort(axis=1).argsort(axis=1)[:, :hits], axis=1)
    draws = ranks[:, count - 1] + 1
    error = draws.std() / np.sqrt(len(draws))
    assert expected_eur(count, hits, candidates, 100.0) / 100.0 == pytest.approx(draws.mean(), abs=5 * error + 1e-9)


def test_nothing_to_find_costs_nothing():
    assert expected_eur(0, 5, 40, 100.0) == 0.0


def test_hits_after_some_measurements_against_counting():
    mean, low, high = hits_after(12, 5, 40, 0.9)
    chance = np.array([comb(5, k) * comb(35, 12 - k) / comb(40, 12) for k in range(6)])
    assert mean == pytest.approx(chance @ np.arange(6))
    below, above = chance[np.arange(6) < low].sum(), chance[np.arange(6) > high].sum()
    assert max(below, above) <= 0.05
    # One narrower on either side would leave out more than a twentieth.
    assert chance[np.arange(6) <= low].sum() > 0.05
    assert chance[np.arange(6) >= high].sum() > 0.05


@pytest.mark.parametrize("measurements", [1, 3, 8, 12])
def test_the_best_of_some_at_random_against_counting(measurements):
    """All subsets of twelve values; the interval leaves out at most a tenth on either side."""
    values = np.sort(np.random.default_rng(1).normal(size=12))
    bests = np.array([values[list(chosen)].min() for chosen in combinations(range(12), measurements)])
    mean, low, high = best_after(measurements, tuple(map(float, values)), 0.8)
    assert mean == pytest.approx(bests.mean())
    assert max((bests < low).mean(), (bests > high).mean()) <= 0.1 + 1e-12
    assert (bests <= low).mean() >= 0.1 - 1e-12


def test_the_funnel_by_hand():
    screened = {"a": -1.0, "b": -3.0, "c": -2.0, "d": -3.0}
    assert funnel_order(screened, lambda value: value) == ["b", "d", "c", "a"]
    assert funnel_order(screened, lambda value: -value) == ["a", "c", "b", "d"]
    points = curve(["b", "d", "c", "a"], lambda names: len({"d", "a"} & set(names)), 10.0, 100.0)
    assert points == [(10.0, 0), (110.0, 0), (210.0, 1), (310.0, 1), (410.0, 2)]
    assert [eur_to_reach(points, count) for count in (0, 1, 2, 3)] == [10.0, 210.0, 410.0, None]
    falling = [(0.0, 5.0), (1.0, 2.0), (2.0, 1.0)]
    assert [eur_to_reach(falling, value, -1.0) for value in (5.0, 1.5, 0.0)] == [0.0, 2.0, None]


def test_the_funnel_of_a_window_learns_the_bias_of_its_screening():
    """The screening says 1 too much: the window [0, 1] is first sought at 0.5, and after one measurement at 1.5."""
    screened = {"a": 0.5, "b": 0.6, "c": 1.5, "d": 1.4, "e": 3.0}
    truth = {name: value - 1.0 for name, value in screened.items()}
    merit = lambda value: abs(value - 0.5)  # noqa: E731
    assert corrected_order(screened, truth, merit) == ["a", "c", "d", "b", "e"]
    without = {name: value for name, value in truth.items() if name != "a"}
    assert corrected_order(screened, without, merit)[:3] == ["a", "b", "c"], "a failed measurement corrects nothing"


def test_the_funnel_of_a_window_follows_a_line_from_three_pairs_on():
    """The truth is twice the screening: once the slope is known, the value nearest to the middle is measured next."""
    screened = {f"c{k}": float(k) for k in range(12)}
    truth = {name: 2.0 * value for name, value in screened.items()}
    order = corrected_order(screened, truth, lambda value: abs(value - 20.0))
    assert "c10" in order[:6]
    assert sorted(order) == sorted(screened)


SPIKY = parse({**synthetic.RAW, "candidates": {"source": "synthetic", "options": {"size": 40}}}, Path("synthetic.toml"))


def test_single_fidelity_search_finds_what_is_wanted_and_then_stops():
    pool, values = synthetic.pool({"size": 40}), synthetic.truth(0, 40)[:, 2]
    truth = dict(zip(pool.ids, map(float, values), strict=True))
    wanted = {pool.ids[i] for i in np.argsort(values)[:3]}
    orders = [single_fidelity_order(SPIKY, pool, truth, wanted, 3, replicate) for replicate in range(6)]
    for order in orders:
        assert len(set(order)) == len(order) and wanted <= set(order)
        assert order[-1] in wanted, "it stops at the last of them"
    # At random it takes 30.75 measurements on average; the truth is smooth up to a part of its own of 0.13.
    assert np.mean([len(order) for order in orders]) < 22.0
    assert len({tuple(order) for order in orders}) > 1, "where it begins is chance"
    assert single_fidelity_order(SPIKY, pool, truth, wanted, 3, 2) == orders[2]
    assert single_fidelity_order(SPIKY, pool, truth, wanted, 0) == []


def test_single_fidelity_search_survives_measurements_that_fail_and_gives_up_after_the_pool():
    pool, values = synthetic.pool({"size": 40}), synthetic.truth(0, 40)[:, 2]
    truth = {name: float(value) for name, value in zip(pool.ids, values, strict=True) if name not in ("c03", "c20")}
    order = single_fidelity_order(SPIKY, pool, truth, {"nowhere"}, 1)
    assert sorted(order) == sorted(pool.ids)


def test_the_target_alone_is_modelled_as_the_campaign_models_it():
    alone = target_alone(SPIKY, synthetic.pool({"size": 40}))
    assert [section.name for section in alone.fidelity] == ["high"]
    assert alone.model.surrogate == "recursive"
    noisy = [{**rung, "noise_sd": 0.01} for rung in synthetic.RAW["fidelity"]]
    scattering = parse({**synthetic.RAW, "fidelity": noisy}, Path("synthetic.toml"))
    assert target_alone(scattering, synthetic.pool({})).model.surrogate == "joint"
