"""From a checked campaign file to the pool, the oracles, the policy and the first state."""

import hashlib
import math
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from mfal.acquisition.value import HitValue
from mfal.campaign.config import CampaignConfig
from mfal.campaign.policy import Policy, State, initial_state
from mfal.dataset import empty_dataset
from mfal.errors import CampaignFileError, MfalError, OracleError, UnknownPluginError
from mfal.oracle import Oracle, OracleContext, load_plugin
from mfal.space.pool import Pool
from mfal.surrogate.autoregressive import AutoregressiveGP, default_prior

# All rows that a small pool can ever need fit at once; larger pools grow by doubling.
FIRST_CAPACITY, BUCKET = 512, 64


def build_pool(config: CampaignConfig) -> Pool:
    """Return the candidates that the campaign file names.

    Raises:
        CampaignFileError: the source is unknown, refuses its options, or has too few candidates for the question.
    """
    try:
        pool = load_plugin("mfal.pools", config.candidates.source)(config.candidates.options)
    except MfalError as error:
        raise CampaignFileError(f"[candidates] source = {config.candidates.source!r}: {error}") from error
    if config.campaign.top >= len(pool):
        raise CampaignFileError(
            f"[campaign] top = {config.campaign.top} of {len(pool)} candidates asks nothing; lower it"
        )
    return pool


def build_oracles(config: CampaignConfig, pool: Pool, directory: Path) -> dict[str, Oracle]:
    """Return one oracle per fidelity; missing packages and wrong options surface here, before money is spent."""
    cache = Path(config.compute.cache).expanduser() if config.compute.cache else directory / "cache"
    oracles = {}
    for fidelity in config.ladder.fidelities:
        context = OracleContext(directory, cache, fidelity, pool, config.compute.workers)
        try:
            oracle = load_plugin("mfal.oracles", fidelity.oracle)(context)
        except (CampaignFileError, UnknownPluginError) as error:
            raise CampaignFileError(f"[[fidelity]] {fidelity.name}: {error}") from error
        if not isinstance(oracle, Oracle):
            raise OracleError(f"{fidelity.oracle=} of {fidelity.name=} lacks submit, collect, running or close")
        oracles[fidelity.name] = oracle
    return oracles


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


def fingerprint(pool: Pool) -> str:
    """Return the SHA-256 of the candidates and their descriptors."""
    digest = hashlib.sha256("\n".join([*pool.ids, *pool.columns]).encode())
    digest.update(np.ascontiguousarray(pool.descriptors, dtype=np.float64).tobytes())
    return digest.hexdigest()


def _first_state(config: CampaignConfig, pool: Pool, policy: Policy) -> State:
    features = jnp.asarray(pool.features)
    fidelities = len(config.fidelity)
    prior = default_prior(config.property.typical_value, config.property.typical_spread, features.shape[1], fidelities)
    capacity = min(FIRST_CAPACITY, BUCKET * math.ceil(len(pool) * fidelities / BUCKET))
    surrogate = AutoregressiveGP(features, prior, prior.mean)
    return initial_state(surrogate, empty_dataset(max(capacity, policy.batch)), fidelities)
