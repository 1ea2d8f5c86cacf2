"""Rivals over all worlds at once are those of `mfal.baselines`, world by world."""

import numpy as np
import pytest

from mfal.baselines.funnel import corrected_order, curve, funnel_order
from mfal.campaign.build import build_rules
from mfal.campaign.goal import Goal
from mfal.whatif.rivals import FUNNEL, OURS, RANDOM, SINGLE, funnel_orders, rivals
from tests import synthetic
from tests.mfal.whatif.made_up import outcomes, setting

MONEY = np.linspace(0.0, 4000.0, 14)


@pytest.mark.parametrize("goal", [Goal("x", "eV", 1.0, 3, None), Goal("x", "eV", -1.0, 3, None),
                                  Goal("x", "eV", 1.0, None, (-0.2, 0.1))])  # fmt: skip
def test_the_funnel_goes_in_the_same_order(goal):
    rng = np.random.default_rng(1)
    screened = rng.normal(size=(20, 15))
    measured = 1.7 * screened + 0.4 + 0.3 * rng.normal(size=screened.shape)
    screened[rng.uniform(size=screened.shape) < 0.1] = np.nan
    measured[rng.uniform(size=screened.shape) < 0.2] = np.nan
    orders = funnel_orders(screened, measured, goal, 12)
    for screen, truth, order in zip(screened, measured, orders, strict=True):
        # Names sort as the numbers do.
        known = {f"{i:02d}": value for i, value in enumerate(screen) if np.isfinite(value)}
        found = {f"{i:02d}": value for i, value in enumerate(truth) if np.isfinite(value)}
        plain = funnel_order(known, goal.merit) if goal.window is None else corrected_order(known, found, goal.merit)
        assert [int(name) for name in plain[:12]] == [int(i) for i in order if i >= 0]


def test_hits_by_budget_of_every_rival():
    study = setting(build_rules(synthetic.config()))
    table = rivals(study, MONEY, seed=0)
    assert list(dict.fromkeys(table.columns.get_level_values(0))) == [OURS, SINGLE, FUNNEL, RANDOM]
    target = np.where(study.worlds.failed[..., 2], np.nan, study.worlds.mean[..., 2])
    low = np.where(study.worlds.failed[..., 0], np.nan, study.worlds.value[..., 0])
    found, reached = [], []
    for truth, screen in zip(target, low, strict=True):
        names = {f"{i:02d}" for i in np.argsort(np.where(np.isfinite(truth), truth, np.inf))[:3]}
        order = funnel_order({f"{i:02d}": v for i, v in enumerate(screen) if np.isfinite(v)}, lambda value: value)
        points = curve(order, lambda part, names=names: len(names & set(part)), 24 * 0.001, 300.0)
        found.append([max((n for eur, n in points if eur <= budget + 1e-9), default=0) for budget in MONEY])
        reached.append(len(names) * np.minimum(np.floor(MONEY / 300.0 + 1e-9), 24) / 24)
    np.testing.assert_allclose(table[FUNNEL, "mean"], np.mean(found, axis=0))
    np.testing.assert_allclose(table[RANDOM, "mean"], np.mean(reached, axis=0))
    ours = outcomes(study.policy)
    np.testing.assert_allclose(table[OURS, "mean"], ours.hits_within(ours.spent_eur, MONEY).mean(axis=0))
    assert np.all(table[RANDOM, "low_80"] <= table[RANDOM, "mean"] + 1e-9)
