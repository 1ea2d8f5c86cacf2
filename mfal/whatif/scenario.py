"""Changes of a policy that a study compares: other prices, limits, slots, times and budgets.

Each returns the policy with other array leaves and the same shapes, so that one compiled simulation serves them all.
"""

import dataclasses

import equinox as eqx
import jax.numpy as jnp

from mfal.campaign.policy import Policy
from mfal.whatif.simulate import Flights, Start


def with_budget(policy: Policy, budget_eur: float) -> Policy:
    """Return the policy with so much to spend in all, in EUR."""
    return eqx.tree_at(lambda p: p.budget_eur, policy, jnp.asarray(budget_eur, policy.budget_eur.dtype))


def with_price(policy: Policy, fidelity: int, price_eur: float) -> Policy:
    """Return the policy with another price of one query at a fidelity, in EUR."""
    changed = eqx.tree_at(lambda p: p.price_eur, policy, policy.price_eur.at[fidelity].set(price_eur))
    return _with_consistent_target(changed)


def with_latency(policy: Policy, fidelity: int, hours: float) -> Policy:
    """Return the policy with another time until an answer of a fidelity, in hours."""
    changed = eqx.tree_at(lambda p: p.latency_hours, policy, policy.latency_hours.at[fidelity].set(hours))
    return _with_consistent_target(changed)


def with_capacity(policy: Policy, fidelity: int, slots: int) -> Policy:
    """Return the policy with another number of queries that may be in flight; see `with_spare_slots` for the room."""
    return eqx.tree_at(lambda p: p.capacity, policy, policy.capacity.at[fidelity].set(slots))


def with_limit(policy: Policy, fidelity: int, queries: int) -> Policy:
    """Return the policy with at most so many queries at a fidelity in the whole campaign; 0 is never."""
    return eqx.tree_at(lambda p: p.limit, policy, policy.limit.at[fidelity].set(queries))


def target_alone(policy: Policy) -> Policy:
    """Return the policy that asks the target only.

    What the target requires of the fidelities below is waived: it would forbid every measurement.
    """
    others = jnp.arange(policy.limit.shape[0]) != policy.target
    none = jnp.zeros_like(policy.requires)
    changed = eqx.tree_at(lambda p: (p.requires, p.follows), policy, (none, none))
    return eqx.tree_at(lambda p: p.limit, changed, jnp.where(others, 0, policy.limit))


def never_content(policy: Policy) -> Policy:
    """Return the policy for which success is worth so much that it goes on while there is money; its order stays.

    Acquisitions whose gain is no money never stop before anyway.
    """
    for name in ("value_of_hit_eur", "value_per_unit_eur"):
        if hasattr(policy.acquisition, name):
            worth = getattr(policy.acquisition, name)
            return eqx.tree_at(lambda p, name=name: getattr(p.acquisition, name), policy, _MUCH * worth)
    return policy


def with_spare_slots(policy: Policy, start: Start, queries: int) -> tuple[Policy, Start]:
    """Return policy and start with room for one more slot at every fidelity, and so many queries in flight besides.

    Nothing else changes: capacities say how many are asked.
    """
    slots, flights = policy.price_eur.shape[0], start.flights
    spare = slots + queries
    padded = Flights(
        *(jnp.pad(column, (0, spare)) for column in (flights.candidate, flights.fidelity, flights.due_hours)),
        used=jnp.pad(flights.used, (0, spare)),
    )
    roomy = dataclasses.replace(policy, batch=policy.batch + spare, foreseen=policy.foreseen + slots)
    return roomy, eqx.tree_at(lambda s: s.flights, start, padded)


# Times as much as success is worth.
_MUCH = 1e6


def _with_consistent_target(policy: Policy) -> Policy:
    """Return the policy whose acquisition knows what a measurement costs, the wait for it included."""
    if not hasattr(policy.acquisition, "price_eur"):
        return policy
    target = policy.target
    price = policy.price_eur[target] + policy.waiting_eur_per_hour * policy.latency_hours[target]
    return eqx.tree_at(lambda p: p.acquisition.price_eur, policy, price.astype(policy.price_eur.dtype))
