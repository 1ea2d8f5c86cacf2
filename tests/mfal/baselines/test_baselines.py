import numpy as np
import pytest
from scipy.special import comb

from mfal.baselines.funnel import eur_to_find, funnel_curve, funnel_order
from mfal.baselines.random import expected_eur, hits_after


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


def test_the_funnel_by_hand():
    screened = {"a": -1.0, "b": -3.0, "c": -2.0, "d": -3.0}
    assert funnel_order(screened, 1.0) == ["b", "d", "c", "a"]
    assert funnel_order(screened, -1.0) == ["a", "c", "b", "d"]
    curve = funnel_curve(["b", "d", "c", "a"], frozenset({"d", "a"}), 10.0, 100.0)
    assert curve == [(10.0, 0), (110.0, 0), (210.0, 1), (310.0, 1), (410.0, 2)]
    assert [eur_to_find(curve, count) for count in (0, 1, 2, 3)] == [10.0, 210.0, 410.0, None]
