"""A simulated campaign is the live one: the same queries in the same order, on the same truth."""

import copy
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.campaign.build import build_rules
from mfal.campaign.config import parse
from mfal.campaign.history import fold
from mfal.campaign.loop import Campaign
from mfal.ledger import EventKind, read_events
from mfal.whatif.begin import begin
from mfal.whatif.simulate import Aim, first_moment, prepared, simulate
from mfal.whatif.world import Table
from tests import synthetic

STEPS = 40
TRUTH = synthetic.truth()
HITS = np.isin(np.arange(len(TRUTH)), np.argsort(TRUTH[:, 2])[:3])
AIM = Aim(jnp.asarray(HITS), jnp.asarray(TRUTH[:, 2]))


def config(seed=3, waiting=0.0, failing=(), **campaign):
    raw = copy.deepcopy(synthetic.RAW)
    raw["campaign"] |= {"seed": seed, "waiting_eur_per_hour": waiting, **campaign}
    for name in failing:
        raw["fidelity"][1]["options"]["fail"] = [*raw["fidelity"][1]["options"].get("fail", []), name]
    return parse(raw, Path("synthetic.toml"))


def live(chosen, directory):
    """Return the queries of every decision of a live campaign, and its progress."""
    campaign = Campaign.start(chosen, directory)
    try:
        progress = campaign.run(lambda _: None)
    finally:
        campaign.close()
    decisions = [e.payload["queries"] for e in read_events(directory) if EventKind(e.kind) == EventKind.DECISION]
    return [[(q["candidate"], q["fidelity"]) for q in queries] for queries in decisions], progress


def queries(rules, trace):
    """Return the queries of every decision of a simulated campaign."""
    names = [rung.name for rung in rules.ladder.fidelities]
    return [
        [(rules.pool.ids[i], names[level]) for i, level in zip(candidate[:count], fidelity[:count], strict=True)]
        for candidate, fidelity, count in zip(trace.candidate, trace.fidelity, trace.count, strict=True)
    ]


_simulate = eqx.filter_jit(simulate)


def simulated_from(rules, start, values):
    """Return the queries of a simulated campaign, its last state and its trace."""
    world = Table.replay(jnp.asarray(values))
    last, trace = _simulate(rules.policy, start, world, AIM, jax.random.key(rules.seed), STEPS)
    trace = jax.tree.map(np.asarray, trace)
    return queries(rules, trace), last, trace


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"seed": 4, "waiting": 2.0}, marks=pytest.mark.slow),
        pytest.param({"budget_eur": 900.0}, marks=pytest.mark.slow),
        {"failing": ["c03", "c07", "c11", "c20"]},
        pytest.param({"best": None, "top": None, "window": [-0.6, -0.3], "wanted": 2}, marks=pytest.mark.slow),
    ],
)
def test_the_same_queries_as_the_live_campaign(tmp_path, options):
    chosen = config(**options)
    asked, progress = live(chosen, tmp_path)
    rules = build_rules(chosen)
    values = TRUTH.copy()
    values[[rules.pool.index(name) for name in options.get("failing", [])], 1] = np.nan
    start = prepared(rules.policy, first_moment(rules.policy, rules.first), frozen=False, steps=STEPS)
    simulated, last, trace = simulated_from(rules, start, values)
    assert [part for part in simulated if part] == [part for part in asked if part]
    assert trace.stopped[-1], "within so many steps the campaign ends"
    np.testing.assert_allclose(trace.spent_eur[-1], float(progress.state.spent_eur))
    np.testing.assert_allclose(trace.hours[-1], progress.hours)
    np.testing.assert_array_equal(np.asarray(last.dataset.status), np.asarray(progress.state.dataset.status))
    measured = np.asarray(last.dataset.observed)[:, 2]
    assert trace.hits[-1] == np.sum(measured & HITS)
    assert trace.best[-1] == TRUTH[measured, 2].min()
    np.testing.assert_array_equal(trace.asked[-1], np.asarray(last.dataset.asked).sum(axis=0))


@pytest.mark.slow
def test_a_campaign_goes_on_as_the_live_one_did(tmp_path):
    """From after its third landing, with queries in flight."""
    asked, _ = live(config(), tmp_path)
    events = read_events(tmp_path)
    decisions = [number for number, event in enumerate(events) if EventKind(event.kind) == EventKind.DECISION]
    rules = build_rules(config())
    progress = fold(rules, events[: decisions[3]])
    assert progress.flights, "otherwise this tests nothing"
    start = prepared(rules.policy, begin(rules, progress), frozen=False, steps=STEPS)
    simulated, _, trace = simulated_from(rules, start, TRUTH)
    assert [part for part in simulated if part] == [part for part in asked[3:] if part]
    assert trace.hours[0] > progress.hours
