"""Are predicted bands right? Campaigns replayed on real tables, each predicted before it starts.

A replay draws a pool from a table, some answers to begin with at every fidelity, and a budget. Predicted: campaigns
simulated in worlds drawn from what those answers teach. Realised: the campaign on the recorded answers. Where a
prediction is right, the realised outcome is one more draw from it, so that its rank among the simulated ones is uniform
(ties broken at random: probability integral transform) and falls into the central 80 % in 80 % of the replays.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from benchmarks.decisions.curves import Known
from benchmarks.decisions.modelling import known_of, policy_of, surrogate_of
from benchmarks.decisions.tasks import Task, standardise
from mfal.acquisition.base import AbstractAcquisition
from mfal.acquisition.best_value import BestValue
from mfal.acquisition.window_value import WindowValue
from mfal.campaign.policy import BULK, Policy, State, initial_state
from mfal.dataset import EMPTY, FAILED, OBSERVED, Dataset
from mfal.surrogate.base import AbstractSurrogate
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray
from mfal.whatif.simulate import Aim, first_moment, simulate
from mfal.whatif.world import Table

LEVELS = (50, 80, 95)
REPLAYS, CAMPAIGNS = 200, 64
SMOKE_REPLAYS, SMOKE_CAMPAIGNS = 3, 4


@dataclass(frozen=True)
class Plan:
    """What the replays of one table have in common, so that they compile once.

    Attributes:
        task: the table.
        pool: candidates of a replay.
        initial: fewest and most candidates answered at every fidelity beforehand.
        measurements: least and largest budget, in prices of a measurement.
    """

    task: Task
    pool: int
    initial: tuple[int, int]
    measurements: tuple[int, int]

    @property
    def steps(self) -> int:
        """Return decisions that are always enough."""
        return self.measurements[1] // SLOTS + len(self.task.price_eur) * (2 + self.pool // SCREENING)


# Measurements in flight, and most answers of a cheap source that come together.
SLOTS, SCREENING = 4, 128
# What a hit is worth, in measurements: enough that the budget ends a campaign.
WORTH = 1e3

Draw = Callable[[Policy, State, int, PRNGKeyArray], Table]


class Replay(eqx.Module):
    """One pool with what is known of it and what there is to find.

    Attributes:
        surrogate: before any data, with room for all that can be asked.
        dataset: answers in hand.
        values: recorded answers, NaN where a query fails.
        budget_eur: what may be spent.
    """

    surrogate: AbstractSurrogate
    dataset: Dataset
    values: Float[Array, "n L"]
    budget_eur: Float[Array, ""]


class Ends(eqx.Module):
    """How campaigns ended.

    Attributes:
        hits: measured.
        regret: by which the best of the measured misses the best of the pool.
        stopped: within the steps.
    """

    hits: Int[Array, "*campaigns"]
    regret: Float[Array, "*campaigns"]
    stopped: Bool[Array, "*campaigns"]


def plans(tables: dict[str, Task]) -> dict[str, Plan]:
    """Return how each table is replayed."""
    return {
        "gap": Plan(tables["gap"], 300, (10, 40), (4, 32)),
        "intermetallics": Plan(tables["intermetallics"], 64, (5, 20), (4, 20)),
        "alloys": Plan(tables["alloys"], 140, (10, 40), (8, 40)),
    }


def draw_replay(plan: Plan, seed: int) -> Replay:
    """Return a pool with answers to begin with and a budget, at random."""
    rng = np.random.default_rng(seed)
    kept = rng.choice(len(plan.task.values), plan.pool, replace=False)
    task = replace(plan.task, features=standardise(plan.task.features[kept]), values=plan.task.values[kept])
    initial = rng.integers(plan.initial[0], plan.initial[1] + 1)
    observed = np.zeros(task.values.shape, dtype=bool)
    observed[rng.choice(plan.pool, initial, replace=False)] = True
    known = known_of(task, observed)
    rows = [plan.pool] * task.target + [min(plan.initial[1] + plan.measurements[1], plan.pool)]
    surrogate = surrogate_of(task, known, nonlinear=False).sized(rows)
    budget = rng.uniform(*plan.measurements) * task.price_eur[-1]
    return Replay(surrogate, _dataset(known), jnp.asarray(task.values), jnp.asarray(budget))


def rules(plan: Plan) -> Policy:
    """Return the policy of every replay of a table; its budget is the replay's."""
    task, price = plan.task, np.array(plan.task.price_eur)
    capacity = np.clip(SLOTS * price[-1] / price, SLOTS, min(SCREENING, plan.pool)).astype(int)
    return policy_of(task, _acquisition(task), capacity, int(capacity.sum()), int(capacity[capacity <= BULK].sum()))


@eqx.filter_jit
def begin(replay: Replay) -> State:
    """Return the state with hyper-parameters fitted to the answers in hand."""
    every = jnp.ones(replay.values.shape[1], dtype=bool)
    fitted = replay.surrogate.fit(replay.dataset, every)
    state = initial_state(fitted, replay.dataset)
    return eqx.tree_at(lambda s: s.fitted_at, state, jnp.sum(replay.dataset.observed, axis=0, dtype=jnp.int32))


def _dataset(known: Known) -> Dataset:
    status = np.where(known.observed, np.where(known.answered, OBSERVED, FAILED), EMPTY)
    value = jnp.asarray(np.where(known.answered, known.values, 0.0))
    return Dataset(jnp.asarray(status.astype(np.int8)), value, jnp.zeros_like(value))


def _acquisition(task: Task) -> AbstractAcquisition:
    price, noise = jnp.asarray(task.price_eur[-1]), jnp.zeros(len(task.price_eur))
    value, wanted = WORTH * price, jnp.asarray(jnp.inf)
    if task.window is not None:
        low, high = (jnp.asarray(edge) for edge in task.window)
        return WindowValue(value, price, noise, low, high, wanted, task.target)
    assert task.top is not None
    return BestValue(value, price, noise, jnp.asarray(task.sign), wanted, task.target, task.top)


def judged(task: Task, truth: Float[Array, " n"]) -> Aim:
    """Return what a campaign is judged by where these are the true target values; NaN cannot be measured."""
    known = jnp.isfinite(truth)
    if task.window is not None:
        low, high = task.window
        merit = jnp.where(known, jnp.abs(truth - 0.5 * (low + high)), jnp.inf)
        return Aim((truth >= low) & (truth <= high), merit)
    merit = jnp.where(known, task.sign * truth, jnp.inf)
    return Aim((jnp.argsort(jnp.argsort(merit)) < (task.top or 1)) & known, merit)


def campaign(plan: Plan, policy: Policy, state: State, world: Table, key: PRNGKeyArray, frozen: bool) -> Ends:
    aim = judged(plan.task, world.truth(plan.task.target))
    if frozen:
        state = eqx.tree_at(lambda s: s.fitted_at, state, jnp.full_like(state.fitted_at, 2**30))
    trace = simulate(policy, first_moment(policy, state), world, aim, key, plan.steps)[1]
    return Ends(trace.hits[-1], trace.best[-1] - jnp.min(aim.merit), trace.stopped[-1])
