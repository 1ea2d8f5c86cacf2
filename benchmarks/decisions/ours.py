"""Our arm: the policy of a live campaign, driven by a replay.

What a group would write into the campaign file comes from the initial answers alone: typical value and spread of every
fidelity. A hit is worth five measurements at first; when nothing pays any more before the goal is reached, the group
raises that by half.
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
from mfal.surrogate.choose import NEGLIGIBLE

_propose, _commit, _absorb = eqx.filter_jit(propose), eqx.filter_jit(commit), eqx.filter_jit(absorb)

FIRST_WORTH, RAISE = 5.0, 1.5
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
        self.worth = FIRST_WORTH * task.price_eur[task.target]
        room = [min(size, max(ROOM, 8 * slots)) for slots in np.asarray(self.policy.capacity)]
        self.state = initial_state(surrogate.with_room(room), empty_dataset(size, fidelities))

    def step(self, seed: int) -> list[Query]:
        """Return the next queries, none after many raises of the worth of a hit."""
        for _ in range(_RAISES):
            self.steps += 1
            key = jax.random.fold_in(jax.random.key(seed), self.steps)
            proposal = _propose(self.policy, self.state, key)
            if count := int(proposal.count):
                self.state = _commit(self.policy, self.state, proposal.candidate, proposal.fidelity, proposal.count)
                chosen = np.asarray(proposal.candidate)[:count], np.asarray(proposal.fidelity)[:count]
                return [(int(candidate), int(fidelity)) for candidate, fidelity in zip(*chosen, strict=True)]
            self.worth *= RAISE
            self.policy = eqx.tree_at(lambda p: p.acquisition.value_of_hit_eur, self.policy, jnp.asarray(self.worth))
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


# Raises of the worth of a hit after which the arm gives up.
_RAISES = 40


def _policy(task: Task, batch: int) -> Policy:
    price = np.array(task.price_eur)
    cheap = price <= NEGLIGIBLE * price[-1]
    capacity = np.where(cheap, np.clip(batch * price[-1] / np.maximum(price, 1e-9), batch, SCREENING), batch)
    capacity = np.minimum(capacity.astype(int), len(task.features))
    foreseen = int(capacity[capacity <= BULK].sum())
    return policy_of(task, _acquisition(task), capacity, int(capacity.sum()), foreseen)


def _acquisition(task: Task) -> AbstractAcquisition:
    price = jnp.asarray(float(task.price_eur[-1]))
    value, noise = FIRST_WORTH * price, jnp.zeros(len(task.price_eur))
    if task.window is not None:
        low, high = (jnp.asarray(edge) for edge in task.window)
        return WindowValue(value, price, noise, low, high, task.target)
    assert task.top is not None
    return BestValue(value, price, noise, jnp.asarray(task.sign), task.target, task.top)
