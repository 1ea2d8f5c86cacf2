"""Are predicted bands right? Campaigns replayed on real tables, each predicted before it starts.

A replay draws a pool from a table, all of it screened at the cheap source and some of it measured, and a budget.
Predicted: campaigns simulated in worlds drawn from what those answers teach. Realised: the campaign on the recorded
answers. Where a prediction is right, the realised outcome is one more draw from it: its rank among the simulated ones
is uniform (ties broken at random: probability integral transform), within the central 80 % in 80 % of the replays.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import beta

from benchmarks.decisions.modelling import dataset_of, known_of, policy_of, surrogate_of
from benchmarks.decisions.tasks import Task, alloys, gap_window, intermetallics, standardise
from mfal.acquisition.base import AbstractAcquisition
from mfal.acquisition.best_value import BestValue
from mfal.acquisition.window_value import WindowValue
from mfal.campaign.goal import Goal
from mfal.campaign.policy import Policy, State, initial_state
from mfal.dataset import Dataset
from mfal.surrogate.base import AbstractSurrogate
from mfal.surrogate.recursive import RecursiveGP
from mfal.surrogate.warped import warped_draws
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray
from mfal.whatif.mixture import MixtureTwin
from mfal.whatif.simulate import first_moment, simulate
from mfal.whatif.study import aim
from mfal.whatif.world import Table

LEVELS = (50, 80, 95)
# 19 campaigns split the ranks into twentieths: as sharp as more, since a rank among few is uniform too.
REPLAYS, CAMPAIGNS = 200, 19
SMOKE_REPLAYS, SMOKE_CAMPAIGNS = 3, 4
# What a hit is worth, in measurements: enough that the budget ends a campaign.
WORTH = 1e3


@dataclass(frozen=True)
class Plan:
    """What the replays of one table have in common, so that they compile once.

    Attributes:
        pool: candidates of a replay.
        initial: fewest and most candidates measured beforehand.
        measurements: least and largest budget, in prices of a measurement.
    """

    pool: int
    initial: tuple[int, int]
    measurements: tuple[int, int]

    @property
    def screened(self) -> int:
        """Answers of the cheap source that hyper-parameters are learnt from."""
        return min(self.pool, 64)


PLANS = {
    "gap": Plan(250, (8, 40), (4, 20)),
    "intermetallics": Plan(64, (5, 20), (2, 12)),
    "alloys": Plan(120, (8, 30), (4, 20)),
}


class Replay(eqx.Module):
    """One pool with what is known of it and what there is to find.

    Attributes:
        surrogate: before any data.
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


def measure_coverage(smoke: bool, tables: Mapping[str, Task] | None = None) -> dict[str, Any]:
    """Return, for every table, in how many replays each band held what happened, with binomial intervals.

    Args:
        smoke: the short form.
        tables: other tasks than the real ones.
    """
    tables = tables or {"gap": gap_window(), "intermetallics": intermetallics(), "alloys": alloys()}
    count, campaigns = (SMOKE_REPLAYS, SMOKE_CAMPAIGNS) if smoke else (REPLAYS, CAMPAIGNS)
    figures: dict[str, Any] = {}
    for name, task in tables.items():
        figures |= _summary(name, replayed(task, PLANS[name], count, campaigns))
    return figures


def replayed(task: Task, plan: Plan, count: int, campaigns: int) -> np.ndarray:
    """Return the ranks of the realised hits and regrets among the predicted ones, shape (count, 2), in 0 to 1."""
    rng, policy, ranks = np.random.default_rng(0), rules(task), []
    question = Goal(task.name, "", task.sign, task.top, task.window)
    for seed in range(count):
        replay = draw_replay(task, plan, seed)
        call = (policy, replay, _fitted(replay), question, plan, campaigns, jax.random.key(seed))
        simulated, real = jax.device_get(_predict(*call))
        # Differences in the last bit are ties.
        regret = np.round(simulated.regret, 9), round(float(real.regret), 9)
        ranks.append([_rank(simulated.hits, real.hits, rng), _rank(*regret, rng)])
    return np.array(ranks)


def draw_replay(task: Task, plan: Plan, seed: int) -> Replay:
    """Return a pool with answers to begin with and a budget, at random."""
    rng = np.random.default_rng(seed)
    kept = rng.choice(len(task.values), plan.pool, replace=False)
    part = replace(task, features=standardise(task.features[kept]), values=task.values[kept])
    observed = np.ones(part.values.shape, dtype=bool)
    observed[:, task.target] = False
    initial = rng.integers(plan.initial[0], plan.initial[1] + 1)
    observed[rng.choice(plan.pool, initial, replace=False), task.target] = True
    known = known_of(part, observed & np.isfinite(part.values))
    room = [plan.pool] * task.target + [plan.initial[1] + plan.measurements[1]]
    budget = rng.uniform(*plan.measurements) * task.price_eur[-1]
    surrogate = surrogate_of(part, known, nonlinear=False).sized(room)
    return Replay(surrogate, dataset_of(known), jnp.asarray(part.values), jnp.asarray(budget))


def rules(task: Task) -> Policy:
    """Return the policy of every replay of a table, one query a decision; its budget is the replay's."""
    return policy_of(task, _acquisition(task), np.ones(len(task.price_eur), int), batch=1, foreseen=1)


@eqx.filter_jit
def _fitted(replay: Replay) -> State:
    """Return the state with hyper-parameters fitted to the answers in hand, to stay so."""
    every = jnp.ones(replay.values.shape[1], dtype=bool)
    state = initial_state(replay.surrogate.fit(replay.dataset, every), replay.dataset)
    return eqx.tree_at(lambda s: s.fitted_at, state, jnp.full_like(state.fitted_at, 2**30))


@eqx.filter_jit
def _predict(
    policy: Policy, replay: Replay, state: State, question: Goal, plan: Plan, count: int, key: PRNGKeyArray
) -> tuple[Ends, Ends]:
    """Return how campaigns end in drawn worlds, and how it ends on the recorded answers."""
    of_twin, of_worlds, of_campaigns = jax.random.split(key, 3)
    policy = eqx.tree_at(lambda p: p.budget_eur, policy, replay.budget_eur)
    rows = (*[plan.screened] * policy.target, plan.initial[1])
    assert isinstance(state.surrogate, RecursiveGP)
    drawn = warped_draws(state.surrogate, state.dataset, rows, count, of_twin)
    worlds = MixtureTwin(drawn.parameters, drawn.warp, fresh=False).draw(policy, state, count, of_worlds)

    def end(world: Table, key: PRNGKeyArray) -> Ends:
        judged = aim(world.truth(policy.target), question.window, question.top, question.sign)
        trace = simulate(policy, first_moment(policy, state), world, judged, key, plan.measurements[1])[1]
        return Ends(trace.hits[-1], trace.best[-1] - jnp.min(judged.merit), trace.stopped[-1])

    simulated = jax.vmap(end)(worlds, jax.random.split(of_campaigns, count))
    return simulated, end(Table.replay(replay.values), key)


def _acquisition(task: Task) -> AbstractAcquisition:
    price, noise = jnp.asarray(task.price_eur[-1]), jnp.zeros(len(task.price_eur))
    value, wanted = WORTH * price, jnp.asarray(jnp.inf)
    if task.window is not None:
        low, high = (jnp.asarray(edge) for edge in task.window)
        return WindowValue(value, price, noise, low, high, wanted, task.target)
    assert task.top is not None
    return BestValue(value, price, noise, jnp.asarray(task.sign), wanted, task.target, task.top)


def _rank(simulated: np.ndarray, real: float, rng: np.random.Generator) -> float:
    """Return the rank of what happened among what was predicted, ties broken at random."""
    below, equal = np.sum(simulated < real), np.sum(simulated == real)
    return float((below + rng.uniform() * (equal + 1)) / (len(simulated) + 1))


def _summary(name: str, ranks: np.ndarray) -> dict[str, Any]:
    figures: dict[str, Any] = {f"replays_{name}": len(ranks)}
    for what, rank in zip(("", "_regret"), ranks.T, strict=True):
        for level in LEVELS:
            inside = int(np.sum(np.abs(rank - 0.5) < level / 200))
            figures[f"band{level}_coverage_{name}{what}"] = round(inside / len(rank), 3)
            if level == 80:
                figures[f"band80_interval_{name}{what}"] = binomial_interval(inside, len(rank))
        figures[f"rank_mean_{name}{what}"] = round(float(rank.mean()), 3)
    return figures


def binomial_interval(inside: int, count: int) -> tuple[float, float]:
    """Return the 95 % interval of a share (Clopper and Pearson 1934, 10.1093/biomet/26.4.404)."""
    low = beta.ppf(0.025, inside, count - inside + 1) if inside else 0.0
    high = beta.ppf(0.975, inside + 1, count - inside) if inside < count else 1.0
    return round(float(low), 3), round(float(high), 3)
