"""A simulated campaign beside the live decision functions, one call after the other, on the same drawn truth."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.whatif.tasks import timed_campaign
from mfal.campaign.policy import Policy, State, absorb, commit, propose, with_room
from mfal.dataset import Answers
from mfal.whatif.simulate import Aim, first_moment, prepared, simulate
from mfal.whatif.twin import draw_worlds
from mfal.whatif.world import Table

_propose, _commit, _absorb = eqx.filter_jit(propose), eqx.filter_jit(commit), eqx.filter_jit(absorb)
_simulate = eqx.filter_jit(simulate)


def live_equals_simulated(candidates: int, decisions: int, seeds: int) -> float:
    """Return the share of seeds for which both ask the same queries in the same order, refits included.

    Args:
        candidates: in the pool.
        decisions: of each campaign, one query each.
        seeds: worlds and campaigns.
    """
    policy, state = timed_campaign(candidates, 1)
    start = prepared(policy, first_moment(policy, state), decisions, frozen=False)
    worlds = draw_worlds(policy, state, seeds, jax.random.key(7))
    same = []
    for seed in range(seeds):
        world, key = jax.tree.map(lambda leaf, at=seed: leaf[at], worlds), jax.random.key(seed)
        aim = Aim(jnp.zeros(candidates, bool), world.truth(policy.target))
        trace = _simulate(policy, start, world, aim, key, decisions)[1]
        simulated = np.column_stack([trace.candidate[:, 0], trace.fidelity[:, 0]])
        same.append(np.array_equal(simulated, _live(policy, state, world, key, decisions)))
    return float(np.mean(same))


def _live(policy: Policy, state: State, world: Table, key: jax.Array, decisions: int) -> np.ndarray:
    """Return the queries asked (decisions, 2), room and shapes growing with the answers as in a live campaign."""
    asked = []
    for index in range(decisions):
        state = with_room(policy, state)
        proposal = _propose(policy, state, jax.random.fold_in(key, index))
        state = _commit(policy, state, proposal.candidate, proposal.fidelity, proposal.count)
        value, failed = world.answer(proposal.candidate, proposal.fidelity, jnp.zeros(()))
        price, noise = policy.price_eur[proposal.fidelity], policy.noise_variance[proposal.fidelity]
        rows = Answers(proposal.candidate, proposal.fidelity, value, noise, price, failed, jnp.ones(1, bool))
        state = _absorb(policy, state, rows)
        asked.append([int(proposal.candidate[0]), int(proposal.fidelity[0])])
    return np.array(asked)
