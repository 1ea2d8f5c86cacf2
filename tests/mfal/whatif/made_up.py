"""A setting without simulation: outcomes are made up, so that what is made of them can be checked quickly."""

import jax.numpy as jnp
import numpy as np

from mfal.campaign.goal import goal
from mfal.whatif.scenario import with_spare_slots
from mfal.whatif.setting import Setting
from mfal.whatif.simulate import first_moment
from mfal.whatif.study import Outcomes
from mfal.whatif.value import Value
from mfal.whatif.world import Table
from tests import synthetic

WORLDS, STEPS = 8, 6


def outcomes(policy):
    """Return outcomes that follow from prices, limits and budget in a simple way."""
    rng = np.random.default_rng(0)
    price, limit = np.asarray(policy.price_eur), np.asarray(policy.limit)
    measured = np.arange(1, STEPS + 1) * (float(policy.budget_eur) / STEPS // price[2])
    luck = 0.4 + 0.2 * (limit[0] > 0) + 0.2 * (limit[1] > 0) * (price[1] < 50.0)
    hits = np.minimum(np.floor(rng.uniform(0.4, 1.0, (WORLDS, 1)) * luck * measured), 3).astype(int)
    asked = np.stack([np.minimum(limit[0], 24) + 0 * measured, np.minimum(limit[1], 20) + 0 * measured, measured], 1)
    spent = np.tile(asked @ price, (WORLDS, 1))
    return Outcomes(
        spent_eur=jnp.asarray(spent),
        hours=jnp.asarray(np.tile(120.0 * np.arange(1, STEPS + 1), (WORLDS, 1))),
        hits=jnp.asarray(hits),
        best=jnp.asarray(-0.1 - 0.2 * hits),
        asked=jnp.asarray(np.tile(asked.astype(int), (WORLDS, 1, 1))),
        stopped=jnp.asarray(np.tile(np.arange(STEPS) == STEPS - 1, (WORLDS, 1))),
        optimum=jnp.full(WORLDS, -0.8),
    )


def worlds(seed=0, failing=0.1):
    """Return stacked worlds in which the fidelities hang together."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(WORLDS, synthetic.SIZE, 1))
    mean = 0.4 * shared + 0.2 * rng.normal(size=(WORLDS, synthetic.SIZE, 3))
    failed = rng.uniform(size=mean.shape) < failing
    value = mean + np.array([0.0, 0.0, 0.02]) * rng.normal(size=mean.shape)
    return Table(jnp.asarray(value), jnp.asarray(mean), jnp.asarray(failed))


def setting(rules, config=None):
    """Return a setting whose simulation is made up."""
    config = synthetic.config() if config is None else config
    policy, start = with_spare_slots(rules.policy, first_moment(rules.policy, rules.first), 72)
    run = lambda changed, start, among: outcomes(changed)  # noqa: E731
    names = tuple(rung.name for rung in rules.ladder.fidelities)
    base = outcomes(policy)
    return Setting(policy, start, names, goal(config), Value.of(config), worlds(), worlds(1), base, run)
