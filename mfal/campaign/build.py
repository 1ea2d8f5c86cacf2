"""From a checked campaign file, or a ledger's first event, to the policy and the first state."""

import math
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from mfal.acquisition.value import HitValue
from mfal.campaign.config import CampaignConfig
from mfal.campaign.history import Rules
from mfal.campaign.plugins import build_pool, fingerprint
from mfal.campaign.policy import Policy, State, initial_state
from mfal.dataset import empty_dataset
from mfal.errors import LedgerError
from mfal.space.pool import Pool
from mfal.surrogate.autoregressive import AutoregressiveGP, default_prior

# All rows that a small pool can ever need fit at once; larger pools grow by doubling.
FIRST_CAPACITY, BUCKET = 512, 64


def build_policy(config: CampaignConfig, pool: Pool) -> tuple[Policy, State]:
    """Return the policy and the state before the first decision."""
    ladder = config.ladder
    rungs, target = ladder.fidelities, ladder.target_index
    price = jnp.array([rung.price_eur for rung in rungs], dtype=jnp.float64)
    noise_variance = jnp.array([rung.noise_sd**2 for rung in rungs], dtype=jnp.float64)
    capacity = [min(rung.capacity, len(pool)) for rung in rungs]
    policy = Policy(
        acquisition=HitValue(
            value_of_hit_eur=jnp.asarray(config.campaign.value_of_hit_eur),
            target_price_eur=price[target],
            noise_variance=noise_variance,
            sign=jnp.asarray(1.0 if config.campaign.best == "lowest" else -1.0),
            target=target,
            top=config.campaign.top,
        ),
        price_eur=price,
        capacity=jnp.array(capacity, dtype=jnp.int32),
        noise_variance=noise_variance,
        requires=jnp.array([[name in rung.requires for name in ladder.names] for rung in rungs]),
        budget_eur=jnp.asarray(config.campaign.budget_eur),
        target=target,
        batch=sum(capacity),
        failure_limit=config.campaign.failure_limit,
    )
    return policy, _first_state(config, pool, policy)


def recorded_rules(payload: Mapping[str, Any]) -> tuple[CampaignConfig, Rules]:
    """Return configuration and rules from a ledger's first event.

    Raises:
        LedgerError: the pool built today differs from the recorded one.
    """
    config = CampaignConfig.model_validate(payload["config"])
    rules = build_rules(config)
    if fingerprint(rules.pool) != payload["pool"]["sha256"]:
        raise LedgerError(
            "the candidates differ from those the campaign was started with; use the recorded package versions"
        )
    return config, rules


def build_rules(config: CampaignConfig) -> Rules:
    """Return what stays fixed during a campaign."""
    pool = build_pool(config)
    policy, first = build_policy(config, pool)
    return Rules(policy, first, config.ladder, pool, config.campaign.seed)


def _first_state(config: CampaignConfig, pool: Pool, policy: Policy) -> State:
    features = jnp.asarray(pool.features)
    fidelities = len(config.fidelity)
    prior = default_prior(config.property.typical_value, config.property.typical_spread, features.shape[1], fidelities)
    capacity = min(FIRST_CAPACITY, BUCKET * math.ceil(len(pool) * fidelities / BUCKET))
    surrogate = AutoregressiveGP(features, prior, prior.mean)
    return initial_state(surrogate, empty_dataset(max(capacity, policy.batch)), fidelities)
