"""The campaign whose simulation is timed: three exact sources at EUR 1, 2 and 4, each asked before the next."""

import jax
import jax.numpy as jnp
import numpy as np

from mfal.acquisition.entropy import MaxValueEntropy
from mfal.acquisition.maxima import GumbelMaxima
from mfal.campaign.policy import Policy, State, initial_state
from mfal.dataset import empty_dataset
from mfal.surrogate.choose import choose_surrogate

PRICE_EUR, LATENCY_HOURS = (1.0, 2.0, 4.0), (0.1, 1.0, 72.0)
FEATURES, TARGET = 5, 2


def timed_campaign(candidates: int, batch: int) -> tuple[Policy, State]:
    """Return rules by max-value entropy per EUR, and the first state.

    Args:
        candidates: in the pool.
        batch: queries in flight at each fidelity, and in one decision.
    """
    features = jax.random.normal(jax.random.key(0), (candidates, FEATURES))
    levels, noise = len(PRICE_EUR), np.zeros(len(PRICE_EUR))
    surrogate = choose_surrogate(features, jnp.zeros(levels), jnp.ones(levels), noise, nonlinear=False)
    maxima = GumbelMaxima(10)
    policy = Policy(
        acquisition=MaxValueEntropy(jnp.zeros(levels), jnp.asarray(1.0), maxima, TARGET),
        price_eur=jnp.array(PRICE_EUR),
        latency_hours=jnp.array(LATENCY_HOURS),
        capacity=jnp.full(levels, batch, jnp.int32),
        limit=jnp.full(levels, candidates, jnp.int32),
        noise_variance=jnp.zeros(levels),
        requires=jnp.eye(levels, k=-1, dtype=bool),
        follows=jnp.zeros((levels, levels), bool),
        budget_eur=jnp.asarray(1e6),
        waiting_eur_per_hour=jnp.zeros(()),
        target=TARGET,
        batch=batch,
        failure_limit=10,
        foreseen=max(1, batch),
    )
    return policy, initial_state(surrogate, empty_dataset(candidates, levels))
