"""Outcomes by money and time against figures found by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from mfal.campaign.goal import Goal
from mfal.whatif.bands import best_by_budget, chances_by_hour, hits_by_budget, regret_by_budget
from mfal.whatif.paired import paired, standard_error
from mfal.whatif.stopping import stopping
from mfal.whatif.study import Outcomes
from mfal.whatif.value import Value
from tests import synthetic

MONEY = np.array([0.0, 10.0, 20.0, 40.0])


def by_hand():
    """Return two campaigns of three steps that look for high values; the second begins by measuring."""
    return Outcomes(
        spent_eur=jnp.array([[10.0, 20.0, 20.0], [10.0, 30.0, 40.0]]),
        hours=jnp.array([[1.0, 2.0, 2.0], [1.0, 3.0, 9.0]]),
        hits=jnp.array([[0, 1, 1], [1, 1, 3]]),
        best=jnp.array([[jnp.inf, -1.0, -1.0], [-2.0, -2.0, -5.0]]),
        asked=jnp.zeros((2, 3, 2), int),
        stopped=jnp.array([[False, False, True], [False, False, True]]),
        optimum=jnp.array([-3.0, -5.0]),
    )


def test_the_best_value_and_the_regret_in_the_unit_of_the_property():
    goal = Goal("x", "eV", -1.0, 1, None)
    best = best_by_budget(by_hand(), MONEY, goal)
    assert np.isnan(best["mean"].iloc[0])
    np.testing.assert_allclose(best["mean"].iloc[1:], [2.0, 1.5, 3.0])
    np.testing.assert_allclose(best["high_95"].iloc[1:], [2.0, 2.0, 5.0])
    assert best["low_95"].iloc[1] == -np.inf, "nothing measured is infinitely bad"
    regret = regret_by_budget(by_hand(), MONEY)
    np.testing.assert_allclose(regret["mean"].iloc[1:], [3.0, 2.5, 1.0])
    assert regret["high_95"].iloc[1] == np.inf and regret["low_95"].iloc[3] == 0.0


def test_for_a_window_the_distance_to_its_middle_counts():
    goal = Goal("x", "eV", -1.0, None, (0.0, 1.0))
    assert best_by_budget(by_hand(), MONEY, goal)["low_95"].iloc[3] == -5.0


def test_bands_are_quantiles_of_the_campaigns():
    rng = np.random.default_rng(0)
    hits = np.sort(rng.integers(0, 9, (401, 3)), axis=1)
    column = jnp.broadcast_to(jnp.array([10.0, 20.0, 40.0]), (401, 3))
    asked = jnp.zeros((401, 3, 2), int)
    many = Outcomes(column, column, jnp.asarray(hits), -column, asked, column > 30.0, jnp.zeros(401))
    table = hits_by_budget(many, MONEY)
    ordered = np.sort(hits[:, 1])
    assert table["low_80"].iloc[2] == ordered[40] and table["high_80"].iloc[2] == ordered[360]
    assert table["low_50"].iloc[2] == ordered[100] and table["low_95"].iloc[2] == ordered[10]


def test_chances_by_a_date():
    table = chances_by_hour(by_hand(), np.array([0.5, 1.0, 2.0, 9.0]))
    np.testing.assert_allclose(table[1], [0.0, 0.5, 1.0, 1.0])
    np.testing.assert_allclose(table[3], [0.0, 0.0, 0.0, 0.5])


def test_net_worth_is_what_is_found_less_what_was_really_spent():
    value = Value(hit_eur=100.0, wanted=2.0, unit_eur=0.0, incumbent=0.0)
    table = stopping(by_hand(), value, MONEY)
    np.testing.assert_allclose(table["net_eur"], [0.0, 40.0, 100.0 - 15.0, 150.0 - 30.0])
    np.testing.assert_allclose(table["hits"], [0.0, 0.5, 1.0, 2.0])
    np.testing.assert_allclose(table["hits_per_1000_eur"].iloc[1:], [50.0, 50.0, 50.0])
    assert list(table["stop"]) == [False, False, False, True]
    np.testing.assert_allclose(value.net(by_hand()), [80.0, 160.0])


def test_an_improvement_counts_from_the_typical_value():
    config = synthetic.asking(best="lowest", value_per_unit_eur=1000.0)
    value = Value.of(config)
    np.testing.assert_allclose(value.gross(np.zeros(3), np.array([np.inf, 0.2, -0.3])), [0.0, 0.0, 300.0])
    assert Value.of(synthetic.config()).gross(np.array([2]), np.array([0.0])) == 4000.0


def test_differences_come_with_their_standard_error():
    assert paired(np.array([1, 3]), np.array([0, 0])) == (2.0, pytest.approx(1.0))
    assert np.isnan(standard_error(np.array([1.0])))
