"""Small beliefs written down by hand, and the policy over them: what a decision must be can be worked out on paper."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.acquisition.window_value import WindowValue
from mfal.campaign import policy
from mfal.campaign.policy import Policy, State
from mfal.dataset import PENDING, Dataset, empty_dataset
from mfal.surrogate.recursive import recursive_surrogate
from tests.mfal.acquisition.beliefs import DenseBelief

# The window [0, inf) to six digits: P(hit) is P(value > 0).
FAR, VALUE = 1e3, 1000.0
_propose = eqx.filter_jit(policy.propose)


def covariance(cells):
    """Return the covariance of independent candidates from their (L, L) cells."""
    n, fidelities = len(cells), len(cells[0])
    full = np.zeros((n, fidelities, n, fidelities))
    for i, cell in enumerate(cells):
        full[i, :, i, :] = cell
    return full


def rules(
    price,
    *,
    capacity=None,
    limit=None,
    budget=1e6,
    waiting=0.0,
    latency=None,
    requires=None,
    follows=None,
    noise=None,
    wanted=np.inf,
):
    """Return the policy of the question which values exceed zero; the last fidelity is the target."""
    fidelities = len(price)
    capacity = capacity or [2] * fidelities
    none = np.zeros((fidelities, fidelities), bool)
    noise_variance = jnp.asarray(noise or [0.0] * fidelities, dtype=jnp.float64)
    target = fidelities - 1
    values = jnp.asarray(VALUE), jnp.asarray(float(price[-1])), noise_variance
    acquisition = WindowValue(*values, jnp.asarray(0.0), jnp.asarray(FAR), jnp.asarray(wanted), target)
    return Policy(
        acquisition=acquisition,
        price_eur=jnp.asarray(price, dtype=jnp.float64),
        latency_hours=jnp.asarray(latency or [0.0] * fidelities, dtype=jnp.float64),
        capacity=jnp.asarray(capacity, dtype=jnp.int32),
        limit=jnp.asarray(limit or [10**6] * fidelities, dtype=jnp.int32),
        noise_variance=noise_variance,
        requires=jnp.asarray(none if requires is None else requires),
        follows=jnp.asarray(none if follows is None else follows),
        budget_eur=jnp.asarray(float(budget)),
        waiting_eur_per_hour=jnp.asarray(float(waiting)),
        target=target,
        batch=sum(capacity),
        failure_limit=3,
        foreseen=max(1, sum(slots for slots in capacity if slots <= policy.BULK)),
    )


def state(mean, full, pending=(), spent=0.0):
    """Return the state with this belief; `pending` are (candidate, fidelity)."""
    mean = np.asarray(mean, dtype=np.float64)
    n, fidelities = mean.shape
    surrogate = recursive_surrogate(jnp.zeros((n, 1)), jnp.zeros(fidelities), jnp.ones(fidelities), False)
    dataset = empty_dataset(n, fidelities)
    status = np.array(dataset.status)
    for at in pending:
        status[at] = PENDING
    dataset = Dataset(jnp.asarray(status), dataset.value, dataset.noise_variance)
    none = jnp.zeros(fidelities, dtype=jnp.int32)
    return State(surrogate, DenseBelief(jnp.asarray(mean), jnp.asarray(full)), dataset, jnp.asarray(spent), none, none)


def propose(chosen, now):
    """Return the queries, and the whole proposal."""
    proposal = jax.tree.map(np.asarray, _propose(chosen, now, jax.random.key(0)))
    count = int(proposal.count)
    asked = list(zip(proposal.candidate[:count].tolist(), proposal.fidelity[:count].tolist(), strict=True))
    return asked, proposal
