"""Which queries in flight no longer pay, now that more is known."""

import jax.numpy as jnp

from mfal.campaign.policy import Policy, State, known_targets, waits_for, with_enabling
from mfal.dataset import withdraw
from mfal.surrogate.base import Posterior
from mfal.types import Array, Bool, PRNGKeyArray


def no_longer_paying(policy: Policy, state: State, key: PRNGKeyArray) -> Bool[Array, "n L"]:
    """Return the queries in flight that would not be asked if nothing at all were in flight.

    Each is judged without the answers that the others may bring, which can only take from its worth: what does not pay
    even so does not pay. An acquisition that ranks queries weighs nothing against its price and takes nothing back.
    """
    pending = state.dataset.pending
    if not policy.acquisition.in_eur:
        return jnp.zeros_like(pending)
    dataset, price = withdraw(state.dataset, pending), policy.expected_prices_eur
    posterior = Posterior.of(state.belief, policy.foreseen)
    worth = policy.acquisition(posterior, known_targets(policy, dataset), key)
    working = state.failures < policy.failure_limit
    possible = ~dataset.asked & working & working[policy.target]
    gain = with_enabling(worth.gain, price, waits_for(policy, dataset, working), possible)
    return pending & (gain <= price)
