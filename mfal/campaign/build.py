"""From a checked campaign file, or a ledger's first event, to the policy and the first state."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from mfal.campaign.config import CampaignConfig
from mfal.campaign.history import Rules
from mfal.campaign.plugins import build_pool, fingerprint
from mfal.campaign.policy import BULK, Policy, State, initial_state
from mfal.campaign.question import build_acquisition
from mfal.dataset import empty_dataset
from mfal.errors import LedgerError
from mfal.fidelity import Ladder
from mfal.space.pool import Pool
from mfal.surrogate.base import AbstractSurrogate
from mfal.surrogate.choose import choose_surrogate, joint_surrogate, nesting
from mfal.surrogate.recursive import recursive_surrogate
from mfal.types import Array, Float


def build_policy(config: CampaignConfig, pool: Pool) -> Policy:
    """Return the rules of a campaign over a pool."""
    ladder = config.ladder
    rungs = ladder.fidelities
    capacity = [min(rung.capacity, len(pool)) for rung in rungs]
    return Policy(
        acquisition=build_acquisition(config),
        price_eur=_per_rung(ladder, "price_eur"),
        latency_hours=_per_rung(ladder, "latency_hours"),
        capacity=jnp.array(capacity, dtype=jnp.int32),
        limit=jnp.array([len(pool) if rung.limit is None else rung.limit for rung in rungs], dtype=jnp.int32),
        noise_variance=_per_rung(ladder, "noise_sd") ** 2,
        requires=jnp.array([[name in rung.requires for name in ladder.names] for rung in rungs]),
        follows=jnp.asarray(_nested(ladder)),
        budget_eur=jnp.asarray(config.campaign.budget_eur, dtype=jnp.float64),
        waiting_eur_per_hour=jnp.asarray(config.campaign.waiting_eur_per_hour),
        target=ladder.target_index,
        batch=sum(capacity),
        failure_limit=config.campaign.failure_limit,
        foreseen=max(1, sum(slots for slots in capacity if slots <= BULK)),
    )


def build_surrogate(config: CampaignConfig, features: Float[Array, "n d"]) -> AbstractSurrogate:
    """Return the surrogate before any data, the one that suits the ladder unless the campaign file names one."""
    value, spread = (jnp.array(column, dtype=jnp.float64) for column in config.typical)
    nonlinear = config.model.link == "nonlinear"
    if config.model.surrogate == "joint":
        return joint_surrogate(features, value, spread)
    if config.model.surrogate == "recursive":
        return recursive_surrogate(features, value, spread, nonlinear)
    noise = np.array(_per_rung(config.ladder, "noise_sd"))
    return choose_surrogate(features, value, spread, noise, nonlinear)


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
    policy, first = build_policy(config, pool), _first_state(config, pool)
    return Rules(policy, first, config.ladder, pool, config.campaign.seed)


def _first_state(config: CampaignConfig, pool: Pool) -> State:
    surrogate = build_surrogate(config, jnp.asarray(pool.features))
    return initial_state(surrogate, empty_dataset(len(pool), len(config.fidelity)))


def _nested(ladder: Ladder) -> np.ndarray:
    return nesting(np.array(_per_rung(ladder, "price_eur")), np.array(_per_rung(ladder, "noise_sd")))


def _per_rung(ladder: Ladder, name: str) -> Float[Array, " L"]:
    return jnp.array([getattr(rung, name) for rung in ladder.fidelities], dtype=jnp.float64)
