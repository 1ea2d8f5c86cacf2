"""Single-fidelity Bayesian optimisation: the same decision core with the target alone, replayed on the revealed truth.

It measures one candidate after the other, always the one with the greatest gain whatever its price, and is told when to
stop. That favours it: a campaign has to find out by itself, and waits for several answers at a time.
"""

from collections.abc import Mapping, Set

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.build import build_policy, build_surrogate
from mfal.campaign.config import CampaignConfig
from mfal.campaign.policy import Policy, State, absorb, commit, initial_state, known_targets
from mfal.dataset import Answers, empty_dataset
from mfal.space.pool import Pool
from mfal.surrogate.base import AbstractSurrogate, Posterior
from mfal.surrogate.joint import JointGP
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray

# Measurements after which it gives up.
MOST = 192


def single_fidelity_order(
    config: CampaignConfig, pool: Pool, truth: Mapping[str, float], wanted: Set[str], count: int, replicate: int = 0
) -> list[str]:
    """Return the candidates in the order of measurement, until `count` of those `wanted` are among them.

    Args:
        config: of the campaign that it is compared with.
        pool: the candidates.
        truth: what a measurement gives; a candidate without one fails.
        wanted: candidates that count.
        count: of them to find; after MOST measurements it gives up.
        replicate: of the random draws.
    """
    alone = target_alone(config, pool)
    policy, surrogate = build_policy(alone, pool), build_surrogate(alone, jnp.asarray(pool.features))
    most = min(len(pool), MOST)
    value = np.array([truth.get(name, np.nan) for name in pool.ids], dtype=np.float64)
    chosen = np.array([name in wanted for name in pool.ids])
    key = jax.random.fold_in(jax.random.key(config.campaign.seed), replicate)
    surrogate = surrogate.with_room([most])
    end = _replay(policy, surrogate, jnp.asarray(value), jnp.asarray(chosen), jnp.asarray(count), most, key)
    return [pool.ids[int(row)] for row in np.asarray(end.order)[: int(end.count)]]


def target_alone(config: CampaignConfig, pool: Pool) -> CampaignConfig:
    """Return the campaign as it would be without any other source."""
    joint = isinstance(build_surrogate(config, jnp.asarray(pool.features)), JointGP)
    target = next(section for section in config.fidelity if section.target)
    # One at a time: capacity does not matter to a replay without a clock.
    section = target.model_copy(update={"requires": [], "capacity": 1})
    model = config.model.model_copy(update={"surrogate": "joint" if joint else "recursive", "link": "linear"})
    return config.model_copy(update={"fidelity": [section], "model": model})


class _Walk(eqx.Module):
    state: State
    order: Int[Array, " most"]
    count: Int[Array, ""]
    found: Int[Array, ""]


@eqx.filter_jit
def _replay(
    policy: Policy,
    surrogate: AbstractSurrogate,
    truth: Float[Array, " n"],
    wanted: Bool[Array, " n"],
    count: Int[Array, ""],
    most: int,
    key: PRNGKeyArray,
) -> _Walk:
    zero = jnp.zeros((), dtype=jnp.int32)
    state = initial_state(surrogate, empty_dataset(truth.shape[0], 1))
    start = _Walk(state, jnp.zeros(most, dtype=jnp.int32), zero, zero)
    # What says the same of all candidates must not fall back on the order of the pool.
    shuffled = jax.random.permutation(key, truth.shape[0])

    def step(walk: _Walk) -> _Walk:
        state, key_now = walk.state, jax.random.fold_in(key, walk.count)
        known = known_targets(policy, state.dataset)
        gain = policy.acquisition(Posterior.of(state.belief, 1), known, key_now).gain[:, 0]
        gain = jnp.where(known.decided, -jnp.inf, gain)
        best = shuffled[jnp.argmax(gain[shuffled])].astype(jnp.int32)
        state = absorb(policy, commit(policy, state, best[None], zero[None], zero + 1), _answer(policy, truth, best))
        order = walk.order.at[walk.count].set(best)
        return _Walk(state, order, walk.count + 1, walk.found + wanted[best].astype(jnp.int32))

    return jax.lax.while_loop(lambda walk: (walk.found < count) & (walk.count < most), step, start)


def _answer(policy: Policy, truth: Float[Array, " n"], best: Int[Array, ""]) -> Answers:
    value, one = truth[best][None], jnp.ones(1, dtype=bool)
    failed = ~jnp.isfinite(value)
    zero = jnp.zeros(1, dtype=jnp.int32)
    noise, price = policy.noise_variance[zero], policy.price_eur[zero]
    return Answers(best[None], zero, jnp.where(failed, 0.0, value), noise, price, failed, one)
