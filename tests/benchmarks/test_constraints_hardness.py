"""The hardness benchmark: both arms are what they say, regret is measured against the truth, tables are read right."""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("pandas")

from benchmarks.constraints import hardness, measured_alloys
from benchmarks.constraints.design_spaces import WEIGHING, DesignSpace, Run, campaigns, normalised

KEYS = jax.random.split(jax.random.key(3), 3)


@pytest.fixture(scope="module")
def problem():
    return hardness.nicocr(*hardness.BOUNDED)


@pytest.fixture(scope="module")
def simplex(problem):
    return campaigns(DesignSpace.simplex(*hardness.BOUNDED), problem, 3, 8, KEYS)


@pytest.mark.slow
def test_every_recipe_of_the_simplex_is_an_alloy_within_bounds(problem, simplex):
    recipes = np.asarray(simplex.recipes)
    np.testing.assert_allclose(recipes.sum(axis=2), 1.0, atol=1e-14)
    # One array twice; compiled twice, its last digit may differ.
    np.testing.assert_allclose(recipes, simplex.alloys, rtol=0.0, atol=3e-16)
    assert jax.vmap(problem.wanted)(simplex.alloys).all()
    # Three random ones a campaign and some chosen; a corner may be measured again.
    assert len(np.unique(recipes.reshape(-1, 3), axis=0)) > 3 * len(KEYS) + 2


@pytest.mark.slow
def test_recipes_of_the_box_are_normalised_and_counted(problem):
    run = campaigns(DesignSpace.box(*hardness.BOUNDED, corrected=False), problem, 3, 8, KEYS)
    np.testing.assert_allclose(run.alloys, normalised(run.recipes))
    counted = hardness._counted(run, problem)
    assert counted["invalid"] > 0.8 and counted["recipes"] == 24


@pytest.mark.slow
def test_a_campaign_with_these_keys_is_the_same_again_and_others_are_not(problem, simplex):
    again = campaigns(DesignSpace.simplex(*hardness.BOUNDED), problem, 3, 8, KEYS)
    np.testing.assert_array_equal(again.recipes, simplex.recipes)
    assert not np.allclose(simplex.recipes[0], simplex.recipes[1])


@pytest.mark.slow
def test_regret_is_the_distance_from_the_dense_optimum(problem, simplex):
    regret = hardness.regrets(simplex, problem)
    assert regret.shape == (3, 5) and (regret >= 0.0).all()
    x = np.random.default_rng(0).dirichlet(np.ones(3), 20_000)
    x = jnp.asarray(x[np.asarray(problem.wanted(jnp.asarray(x)))])
    best = float(jax.vmap(problem.truth)(x).max())
    assert regret[0, -1] == pytest.approx(best - float(simplex.announced[0, -1]), abs=0.3)


def test_what_is_counted_invalid_off_bounds_and_worst(problem):
    recipes = jnp.array([[[0.3, 0.3, 0.4], [0.3, 0.3, 0.4 + 2.0 * WEIGHING], [0.2, 0.2, 0.6]]])
    run = Run(recipes, normalised(recipes), jnp.full((1, 2), jnp.nan))
    counted = hardness._counted(run, problem)
    assert counted["invalid"] == pytest.approx(1.0 / 3.0)
    # .402 / 1.002 and .6 are above 40 % Cr.
    assert counted["off_bounds"] == pytest.approx(2.0 / 3.0)
    assert (hardness.regrets(run, problem) > 30.0).all()


def test_the_ratio_is_below_one_where_ours_is_better_and_has_its_interval():
    rng = np.random.default_rng(0)
    theirs = rng.gamma(2.0, 1.0, (40, 4))
    ratios = hardness._ratios("r", 0.5 * theirs * rng.uniform(0.8, 1.2, (40, 4)), theirs)
    assert ratios["r_low"] < ratios["r"] < ratios["r_high"] < 0.6
    assert ratios["r_worst_step"] >= ratios["r"] - 0.05


def test_a_ratio_is_finite_where_campaigns_found_the_optimum():
    found = np.zeros((6, 3))
    found[0] = 5.0
    ratios = hardness._ratios("r", found, found[::-1])
    assert np.isfinite(list(ratios.values())).all()


needs_table = pytest.mark.skipif("MFAL_DATA" not in os.environ, reason="MFAL_DATA does not name the folder of mpea.csv")


@needs_table
def test_the_measured_alloys_are_those_of_the_table():
    alloys = measured_alloys.measured_alloys()
    assert (len(alloys.fractions), len(alloys.record)) == (43, 77)
    np.testing.assert_allclose(alloys.fractions.sum(axis=1), 1.0)
    equal = int(np.argmin(np.abs(alloys.fractions - 0.2).sum(axis=1)))
    np.testing.assert_allclose(alloys.fractions[equal], 0.2)
    assert sorted(alloys.hardness_hv[alloys.record == equal])[:2] == [395.0, 433.0]
    assert alloys.wanted[equal] and alloys.wanted.sum() == 14


@needs_table
@pytest.mark.slow
def test_a_filtered_replay_never_leaves_the_bounds_and_asks_nothing_twice():
    alloys = measured_alloys.measured_alloys()
    run = measured_alloys.replay(alloys, True, 3, 12, KEYS)
    for asked in np.asarray(run.asked):
        assert len(set(asked)) == 12 and alloys.wanted[asked].all()
    assert set(np.asarray(run.announced).ravel()) <= set(alloys.typical_hv[alloys.wanted])


def test_a_missing_table_leaves_its_figures_out(monkeypatch):
    monkeypatch.delenv("MFAL_DATA", raising=False)
    measured_alloys.measured_alloys.cache_clear()
    monkeypatch.setattr(hardness, "_spaces", lambda *_: {})
    figures = hardness.measure_hardness(smoke=True)
    assert set(figures) == {"nicocr_seeds", "alcocrfeni"} and "MFAL_DATA" in figures["alcocrfeni"]
