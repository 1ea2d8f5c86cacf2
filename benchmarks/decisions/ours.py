"""Our arm: the policy of a live campaign, driven by a replay.

What a group would write into the campaign file comes from the initial answers alone: typical value and spread of every
fidelity, and that as many hits are wanted as the goal counts. Each is worth far more than a measurement, so that what a
hit costs at the margin decides. Where the arm believes that it has them all and the campaign goes on, the group wants
one more.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.decisions.curves import Known, Query
from benchmarks.decisions.modelling import policy_of, surrogate_of
from benchmarks.decisions.tasks import Task
from mfal.acquisition.base import AbstractAcquisition
from mfal.acquisition.best_value import BestValue
from mfal.acquisition.window_value import WindowValue
from mfal.campaign.policy import BULK, Policy, absorb, commit, initial_state, propose, with_room
from mfal.dataset import Answers, empty_dataset

_propose, _commit, _absorb = eqx.filter_jit(propose), eqx.filter_jit(commit), eqx.filter_jit(absorb)

# What a hit is worth, in measurements.
WORTH = 1e3
# Queries at a cheap fidelity that are answered together, and rows that there is room for at first.
SCREENING, ROOM = 128, 256


class Ours:
    """One campaign of our policy, begun at its first step."""

    def __init__(self, nonlinear: bool = False):
        """Say whether the discrepancy between fidelities may depend on the lower answer."""
        self.nonlinear = nonlinear
        self.campaign: _Campaign | None = None

    def __call__(self, known: Known, task: Task, batch: int, seed: int) -> list[Query]:
        """Take up new answers and return the next queries."""
        if self.campaign is None:
            self.campaign = _Campaign(known, task, batch, self.nonlinear)
        self.campaign.take_up(known)
        return self.campaign.step(seed)


class _Campaign:
    def __init__(self, known: Known, task: Task, batch: int, nonlinear: bool):
        size, fidelities = task.values.shape
        surrogate = surrogate_of(task, known, nonlinear)
        self.policy, self.told, self.steps = _policy(task, batch), np.zeros((size, fidelities), dtype=bool), 0
        room = [min(size, max(ROOM, 8 * slots)) for slots in np.asarray(self.policy.capacity)]
        self.state = initial_state(surrogate.with_room(room), empty_dataset(size, fidelities))

    def step(self, seed: int) -> list[Query]:
        """Return the next queries, none after many raises of what is wanted."""
        for _ in range(_RAISES):
            self.steps += 1
            key = jax.random.fold_in(jax.random.key(seed), self.steps)
            proposal = _propose(self.policy, self.state, key)
            if count := int(proposal.count):
                self.state = _commit(self.policy, self.state, proposal.candidate, proposal.fidelity, proposal.count)
                chosen = np.asarray(proposal.candidate)[:count], np.asarray(proposal.fidelity)[:count]
                return [(int(candidate), int(fidelity)) for candidate, fidelity in zip(*chosen, strict=True)]
            self.policy = eqx.tree_at(
                lambda p: p.acquisition.wanted, self.policy, replace_fn=lambda wanted: jnp.asarray(float(wanted) + 1.0)
            )
        return []

    def take_up(self, known: Known) -> None:
        """Learn from the answers that are new."""
        candidate, fidelity = np.nonzero(known.observed & ~self.told)
        for start in range(0, len(candidate), self.policy.batch):
            part = slice(start, start + self.policy.batch)
            self._absorb(known, candidate[part], fidelity[part])
        self.told = known.observed.copy()
        self.state = with_room(self.policy, self.state)

    def _absorb(self, known: Known, candidate: np.ndarray, fidelity: np.ndarray) -> None:
        batch, count = self.policy.batch, len(candidate)
        row, column = (np.pad(part, (0, batch - count)).astype(np.int32) for part in (candidate, fidelity))
        value, rows, columns = known.values[row, column], jnp.asarray(row), jnp.asarray(column)
        # The initial answers were not asked for by a proposal; for the others this changes nothing.
        state = _commit(self.policy, self.state, rows, columns, jnp.asarray(count))
        answers = Answers(
            candidate=rows,
            fidelity=columns,
            value=jnp.asarray(np.nan_to_num(value)),
            noise_variance=jnp.zeros(batch),
            price_eur=self.policy.price_eur[columns],
            failed=jnp.asarray(np.isnan(value)),
            valid=jnp.arange(batch) < count,
        )
        self.state = _absorb(self.policy, state, answers)


# Raises of what is wanted after which the arm gives up.
_RAISES = 40


def _policy(task: Task, batch: int) -> Policy:
    price = np.maximum(task.price_eur, 1e-9)
    # A slot holds as many cheap queries as a measurement would pay.
    capacity = np.minimum(batch * price[-1] / price, SCREENING)
    capacity = np.clip(capacity.astype(int), batch, len(task.features))
    foreseen = int(capacity[capacity <= BULK].sum())
    return policy_of(task, _acquisition(task), capacity, int(capacity.sum()), foreseen)


def _acquisition(task: Task) -> AbstractAcquisition:
    price = jnp.asarray(float(task.price_eur[-1]))
    value, noise, wanted = WORTH * price, jnp.zeros(len(task.price_eur)), jnp.asarray(1.0 * task.goal)
    if task.window is not None:
        low, high = (jnp.asarray(edge) for edge in task.window)
        return WindowValue(value, price, noise, low, high, wanted, task.target)
    assert task.top is not None
    return BestValue(value, price, noise, jnp.asarray(task.sign), wanted, task.target, task.top)
