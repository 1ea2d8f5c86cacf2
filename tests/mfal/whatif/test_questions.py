"""Questions that compare scenarios: on made-up outcomes by hand, and on one small study that is really simulated."""

from dataclasses import replace

import equinox as eqx
import jax
import numpy as np
import pandas as pd
import pytest

from mfal.campaign.build import build_rules
from mfal.campaign.goal import goal
from mfal.dataset import OBSERVED
from mfal.whatif import setting as settings
from mfal.whatif.bottleneck import bottleneck
from mfal.whatif.break_even import against_correlation, against_price, blended, break_even
from mfal.whatif.marginal import committed, marginal, package
from mfal.whatif.price_grid import FACTORS, price_grid, varied
from mfal.whatif.scenario import target_alone, with_budget, with_limit, with_price
from mfal.whatif.simulate import first_moment
from mfal.whatif.split import split
from mfal.whatif.value import Value
from tests import synthetic
from tests.mfal.whatif import made_up

MONEY = np.linspace(0.0, 4000.0, 9)


@pytest.fixture(scope="module")
def rules():
    return build_rules(synthetic.config())


@pytest.fixture(scope="module")
def made(rules):
    return made_up.setting(rules)


@pytest.fixture(scope="module")
def real(rules):
    config, start = synthetic.config(), first_moment(rules.policy, rules.first)
    names = tuple(rung.name for rung in rules.ladder.fidelities)
    return settings.set_up(rules.policy, start, names, goal(config), Value.of(config), 8, 30, 0)


def net(policy):
    ends = made_up.outcomes(policy)
    return (2000.0 * np.asarray(ends.hits) - np.asarray(ends.spent_eur))[:, -1]


def test_a_split_holds_one_fidelity_back(made):
    table = split(made)
    assert list(table.index[:3]) == [("none", 1.0), ("low", 0.0), ("low", 0.25)] and table.index[-1] == ("all", 0.0)
    np.testing.assert_allclose(table["eur", "low"].iloc[:4], [0.024, 0.0, 0.006, 0.012])
    without = net(with_limit(made.policy, 0, 0)) - net(made.policy)
    assert table["outcome", "more_net_eur"].iloc[1] == pytest.approx(without.mean())
    assert table["outcome", "se_eur"].iloc[1] == pytest.approx(without.std(ddof=1) / np.sqrt(len(without)))
    assert table["outcome", "net_eur"].iloc[-1] == pytest.approx(net(target_alone(made.policy)).mean())


def test_a_source_pays_until_its_net_worth_is_that_without_it(made):
    table = against_price(made)
    assert list(table.loc["middle"].index.round(3)) == [1.0, 6.694, 44.814, 300.0]
    more = [net(with_price(made.policy, 1, p)).mean() - net(with_limit(made.policy, 1, 0)).mean() for p in (1.0, 300.0)]
    np.testing.assert_allclose(table.loc["middle"]["more_net_eur"].iloc[[0, -1]], more)
    edge = break_even(table)
    assert "pays" in edge.loc["middle", "verdict"]


def test_where_the_difference_changes_sign_is_interpolated():
    def along(name, figures):
        index = pd.MultiIndex.from_product([["a"], [1.0, 2.0, 4.0]], names=["fidelity", name])
        return break_even(pd.DataFrame({"more_net_eur": figures}, index=index)).loc["a"]

    assert along("price_eur", [6.0, 2.0, -2.0])["at"] == 3.0
    assert along("price_eur", [6.0, 2.0, 1.0])["verdict"] == "pays at every price tried"
    assert along("price_eur", [-1.0, 2.0, 1.0])["verdict"] == "does not pay at today's price"
    assert "correlation of 3.00" in along("correlation", [6.0, 2.0, -2.0])["verdict"]


def test_blending_keeps_spread_and_loses_correlation(made):
    """In the given share, over very many draws; here over the candidates and worlds at hand."""
    mean = np.asarray(made.start.state.belief.mean[:, 1])
    half = np.asarray(blended(made, 1, 0.6).mean)[..., 1] - mean
    one, other = (np.asarray(part.mean)[..., 1] - mean for part in (made.worlds, made.others))
    np.testing.assert_allclose(half, 0.6 * one + 0.8 * other)
    np.testing.assert_array_equal(blended(made, 1, 0.6).mean[..., [0, 2]], made.worlds.mean[..., [0, 2]])
    kept = against_correlation(made).loc["middle"].index.to_numpy()
    assert kept[0] > 0.6 and abs(kept[-1]) < 0.3 and np.all(np.diff(kept) < 0.0)


def test_a_source_that_was_asked_about_everything_tells_what_it_tells(made):
    everything = made.start.state.dataset.status.at[:, :2].set(OBSERVED)
    start = eqx.tree_at(lambda s: s.state.dataset.status, made.start, everything)
    assert len(against_correlation(replace(made, start=start))) == 0


def test_bottlenecks_leave_out_what_cannot_be_short(made):
    table = bottleneck(made)
    assert list(table.index) == [
        "as planned", "middle: 5 slots instead of 4", "high: 4 slots instead of 3",
        "high: 60 h instead of 120 h", "budget: 10% more (EUR 4,400)", "budget: 25% more (EUR 5,000)",
    ]  # fmt: skip
    hits = made_up.outcomes(with_budget(made.policy, 5000.0)).hits[:, -1].mean()
    assert table.loc["budget: 25% more (EUR 5,000)", "hits"] == pytest.approx(float(hits))


def test_the_grid_of_prices_has_the_plan_in_its_middle(made):
    assert varied(made) == [2], "the others take up too little"
    table = price_grid(made, made.base, MONEY)
    assert list(table.index.get_level_values("high").unique()) == list(FACTORS)
    base = made.base.hits_within(made.base.spent_eur, MONEY).mean(axis=0)
    np.testing.assert_allclose(table.loc[1.0]["mean"], base)
    chance = table[[name for name in table.columns if isinstance(name, int)]].to_numpy()
    assert np.all(np.diff(chance, axis=1) <= 0.0) and chance.min() >= 0.0 and chance.max() <= 1.0
    np.testing.assert_allclose(table["mean"], chance.sum(axis=1))
    assert np.all(table["low_95"] <= table["median"]) and np.all(table["median"] <= table["high_95"])
    cheap = made_up.outcomes(with_price(made.policy, 2, 150.0))
    np.testing.assert_allclose(table.loc[0.5]["mean"], cheap.hits_within(cheap.spent_eur, MONEY).mean(axis=0))


def test_earmarked_money_buys_what_is_ranked_best_with_what_it_requires(rules, made):
    candidate, fidelity = package(made.policy, made.start, 1, 5.1)
    assert list(fidelity) == [0, 1] * 5, "five at EUR 1.001"
    assert list(candidate[::2]) == list(candidate[1::2]) and len(set(candidate)) == 5
    start = committed(made.policy, made.start, candidate, fidelity)
    assert int(start.flights.used.sum()) == 10 and int(start.state.dataset.pending.sum()) == 10
    np.testing.assert_array_equal(start.flights.due_hours[:4], [0.0, 1.0, 0.0, 1.0])
    assert len(package(made.policy, made.start, 2, 300.0)[0]) == 3, "one is asked even if it costs a little more"
    table = marginal(made)
    assert list(table.index) == ["low", "middle", "high", "any"]
    assert table.loc["high", "eur"] == pytest.approx(301.001) and table.loc["any", "eur"] == 300.0


@pytest.mark.slow
def test_scenarios_meet_the_same_worlds_and_compile_once(real):
    planned, study = real
    assert planned.spent_eur.shape == (8, 31) and planned.finished == 1.0
    again = study.run(with_budget(study.policy, 4000.0), study.start, study.worlds)
    assert again is study.base, "each scenario is simulated once"
    before = settings._simulated._cached._cache_size()
    dear = study.outcomes(with_price(study.policy, 2, 500.0))
    held = study.outcomes(with_limit(study.policy, 1, 3))
    assert settings._simulated._cached._cache_size() == before
    np.testing.assert_array_equal(dear.optimum, study.base.optimum)
    assert np.asarray(dear.asked)[:, -1, 2].max() <= 8 and np.asarray(held.asked)[:, -1, 1].max() == 3
    alone = study.outcomes(target_alone(study.policy))
    assert np.asarray(alone.asked)[:, -1, :2].max() == 0 and np.asarray(alone.asked)[:, -1, 2].min() > 0


@pytest.mark.slow
def test_what_is_committed_beforehand_lands_and_is_paid(real):
    _, study = real
    candidate, fidelity = package(study.policy, study.start, 1, 300.0)
    start = committed(study.policy, study.start, candidate, fidelity)
    found = study.run(with_budget(study.policy, 4024.024), start, study.worlds)
    assert len(candidate) == 48, "the whole pool"
    np.testing.assert_array_equal(np.asarray(found.asked)[:, -1, :2], 24)
    target = np.asarray(found.asked)[:, -1, 2]
    np.testing.assert_allclose(np.asarray(found.spent_eur)[:, -1], 24.024 + 300.0 * target)
    jax.tree.map(np.testing.assert_array_equal, study.base.optimum, found.optimum)
