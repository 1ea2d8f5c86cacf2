"""What a group writes into the campaign file, from the answers in hand: typical values, surrogate, rules."""

import jax.numpy as jnp
import numpy as np

from benchmarks.decisions.curves import Known
from benchmarks.decisions.tasks import Task
from mfal.acquisition.base import AbstractAcquisition
from mfal.campaign.policy import Policy
from mfal.dataset import Dataset, from_rows
from mfal.surrogate.base import AbstractSurrogate
from mfal.surrogate.choose import choose_surrogate, nesting
from mfal.types import Array, Float


def known_of(task: Task, observed: np.ndarray) -> Known:
    """Return what is known once the `observed` queries have answered."""
    return Known(observed, np.where(observed, task.values, np.nan))


def typical(known: Known) -> tuple[Float[Array, " L"], Float[Array, " L"]]:
    """Return mean and spread of the answers at each fidelity."""
    levels = known.values.T
    # A source that always says the same still has a scale.
    spread = [max(np.nanstd(level), 1e-6) for level in levels]
    return jnp.array([np.nanmean(level) for level in levels]), jnp.array(spread)


def dataset_of(known: Known) -> Dataset:
    """Return the table of the answers, exact and without failures."""
    candidate, fidelity = np.nonzero(known.observed)
    noise = np.zeros(len(candidate))
    return from_rows(candidate, fidelity, known.values[candidate, fidelity], noise, *known.values.shape)


def nested(task: Task) -> np.ndarray:
    """Return which fidelity waits for which at the task's prices."""
    return nesting(np.array(task.price_eur), np.zeros(len(task.price_eur)))


def surrogate_of(task: Task, known: Known, nonlinear: bool) -> AbstractSurrogate:
    """Return the surrogate that a campaign takes, before any data."""
    return choose_surrogate(jnp.asarray(task.features), *typical(known), np.zeros(len(task.price_eur)), nonlinear)


def policy_of(task: Task, acquisition: AbstractAcquisition, capacity: np.ndarray, batch: int, foreseen: int) -> Policy:
    """Return rules without noise, waiting or an end of the money."""
    fidelities = len(task.price_eur)
    return Policy(
        acquisition=acquisition,
        price_eur=jnp.asarray(task.price_eur, dtype=jnp.float64),
        latency_hours=jnp.zeros(fidelities),
        capacity=jnp.asarray(capacity, dtype=jnp.int32),
        limit=jnp.full(fidelities, 10**9, jnp.int32),
        noise_variance=jnp.zeros(fidelities),
        requires=jnp.zeros((fidelities, fidelities), dtype=bool),
        follows=jnp.asarray(nested(task)),
        budget_eur=jnp.asarray(1e12),
        waiting_eur_per_hour=jnp.zeros(()),
        target=task.target,
        batch=batch,
        failure_limit=10**6,
        foreseen=foreseen,
    )
