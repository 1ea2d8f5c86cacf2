"""Many simulated campaigns, and what comes out of them.

They are simulated in batches: on a processor in small ones that stay in its cache, one a core; on accelerators in as
large ones as their memory holds, spread over all of them. A study larger than memory streams through; with a folder to
keep its parts in, one that was cut off goes on where it was.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.policy import Policy
from mfal.errors import StudyError
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray
from mfal.whatif.parts import Parts, fingerprint
from mfal.whatif.simulate import Aim, Start, at_start, prepared, simulate
from mfal.whatif.spread import Batches, batches, in_precision, over_devices
from mfal.whatif.twin import AbstractTwin, PosteriorTwin
from mfal.whatif.world import AbstractWorld


@runtime_checkable
class Question(Protocol):
    """What is looked for, such as a `Goal`; hashable, since compiled code depends on it.

    Attributes:
        sign: +1 if low values are best, -1 if high ones are; without meaning for a window.
        top: candidates that count as best; None for the single best, or with a window.
        window: edges, None for the other questions.
    """

    @property
    def sign(self) -> float:
        """Direction of the best."""
        ...

    @property
    def top(self) -> int | None:
        """How many count."""
        ...

    @property
    def window(self) -> tuple[float, float] | None:
        """Edges."""
        ...


class Outcomes(eqx.Module):
    """What simulated campaigns came to; arrays over (campaigns, steps), the first of which is the start.

    Attributes:
        spent_eur: paid so far, what had been paid before the study included.
        hours: on the campaign's clock.
        hits: measured so far, those in hand included.
        best: lowest merit among the measured candidates, infinite before the first.
        asked: queries at each fidelity so far, shape (campaigns, steps, fidelities).
        stopped: the campaign had ended.
        optimum: lowest merit there is in the world of each campaign.
    """

    spent_eur: Float[Array, "*campaigns steps"]
    hours: Float[Array, "*campaigns steps"]
    hits: Int[Array, "*campaigns steps"]
    best: Float[Array, "*campaigns steps"]
    asked: Int[Array, "*campaigns steps L"]
    stopped: Bool[Array, "*campaigns steps"]
    optimum: Float[Array, "*campaigns"]

    @property
    def finished(self) -> float:
        """Share of the campaigns that ended within the steps they were given."""
        return float(jnp.mean(self.stopped[:, -1]))

    def hits_within(self, column: Float[Array, "*campaigns steps"], limits: np.ndarray) -> np.ndarray:
        """Return the hits of every campaign at the last step at which `column` is within each limit."""
        within = np.asarray(column)[:, :, None] <= np.asarray(limits) + 1e-9
        return np.max(np.where(within, np.asarray(self.hits)[:, :, None], 0), axis=1)


def study(
    policy: Policy,
    start: Start,
    goal: Question,
    campaigns: int,
    steps: int,
    seed: int,
    watch: Callable[[int], None] = lambda _: None,
    *,
    twin: AbstractTwin | None = None,
    refit_every: int = 0,
    single: bool = False,
    folder: Path | None = None,
) -> Outcomes:
    """Simulate campaigns that go on from one start, each in a world of its own.

    Args:
        policy: rules of the campaign.
        start: where they begin.
        goal: says which candidates are hits in a world.
        campaigns: how many.
        steps: decisions of each at most.
        seed: the same seed, the same study.
        watch: is told how many campaigns are done.
        twin: draws the worlds; from the posterior if None.
        refit_every: decisions after which simulated campaigns fit their hyper-parameters; 0 for never.
        single: in single precision, twice as fast on a GPU; queries of nearly equal gain may change places.
        folder: keeps finished parts, so that the same study goes on where it was cut off; None keeps nothing.

    Raises:
        StudyError: nothing can be learnt from so few campaigns, steps or EUR, or the folder holds another study.
    """
    refuse(policy, start, campaigns, steps)
    ready, twin = prepared(policy, start, steps, frozen=True), twin or PosteriorTwin()
    plan = batches(ready, campaigns, single)
    run = _Run(policy, ready, goal, twin, steps, refit_every, plan)
    arrays = (policy, ready, twin)
    kept = Parts(folder, fingerprint(arrays, (goal, steps, seed, refit_every, plan)))
    parts = _parts(run, kept, jax.random.key(seed), watch)
    return jax.tree.map(lambda *columns: np.concatenate(columns)[:campaigns], *parts)


def outcomes_in(
    policy: Policy,
    start: Start,
    goal: Question,
    worlds: AbstractWorld,
    keys: Array,
    steps: int,
    refit_every: int = 0,
) -> Outcomes:
    """Return the outcomes of one campaign in each of the stacked `worlds`, with one of `keys` each; to be compiled."""

    def one(world: AbstractWorld, key: PRNGKeyArray) -> Outcomes:
        judged = aim(world.truth(policy.target), goal.window, goal.top, goal.sign)
        trace = simulate(policy, start, world, judged, key, steps, refit_every)[1]
        trace = jax.tree.map(lambda *parts: jnp.concatenate(parts), at_start(policy, start, judged), trace)
        return Outcomes(
            spent_eur=trace.spent_eur,
            hours=trace.hours,
            hits=trace.hits,
            best=trace.best,
            asked=trace.asked,
            stopped=trace.stopped,
            optimum=jnp.min(judged.merit),
        )

    return jax.vmap(one)(worlds, keys)


def aim(truth: Float[Array, " n"], window: tuple[float, float] | None, top: int | None, sign: float) -> Aim:
    """Return what a campaign is judged by where these are the true target values; NaN cannot be measured."""
    known = jnp.isfinite(truth)
    if window is not None:
        merit = jnp.where(known, jnp.abs(truth - 0.5 * (window[0] + window[1])), jnp.inf)
        return Aim((truth >= window[0]) & (truth <= window[1]), merit)
    merit = jnp.where(known, sign * truth, jnp.inf)
    return Aim((jnp.argsort(jnp.argsort(merit)) < (top or 1)) & known, merit)


def refuse(policy: Policy, start: Start, campaigns: int, steps: int) -> None:
    """Raise a StudyError where there is nothing to simulate."""
    state, price = start.state, float(jnp.min(policy.price_eur))
    left = float(policy.budget_eur - state.spent_eur)
    if campaigns < 1 or steps < 1:
        raise StudyError(f"{campaigns=} and {steps=} simulate nothing; both must be at least 1")
    if left < price and not bool(start.flights.used.any()):
        raise StudyError(f"budget_eur leaves EUR {left:g}, and the cheapest query costs {price:g}; raise the budget")


class _Run(eqx.Module):
    """One batch after the other, compiled once."""

    policy: Policy
    start: Start
    goal: Question = eqx.field(static=True)
    twin: AbstractTwin
    steps: int = eqx.field(static=True)
    refit_every: int = eqx.field(static=True)
    plan: Batches = eqx.field(static=True)


def _batch(run: _Run, key: PRNGKeyArray) -> Outcomes:
    of_worlds, of_campaigns = jax.random.split(key)
    worlds = run.twin.draw(run.policy, run.start.state, run.plan.size, of_worlds)
    keys, lots = jax.random.split(of_campaigns, run.plan.size), run.plan.size // run.plan.together
    cut = lambda leaf: leaf.reshape(lots, run.plan.together, *leaf.shape[1:])  # noqa: E731

    def lot(one: tuple[AbstractWorld, Array]) -> Outcomes:
        return outcomes_in(run.policy, run.start, run.goal, one[0], one[1], run.steps, run.refit_every)

    outcomes = jax.lax.map(lot, jax.tree.map(cut, (worlds, keys)))
    return jax.tree.map(lambda leaf: leaf.reshape(run.plan.size, *leaf.shape[2:]), outcomes)


def _parts(run: _Run, kept: Parts, key: PRNGKeyArray, watch: Callable[[int], None]) -> list[Outcomes]:
    def simulated(first: int) -> Outcomes:
        with in_precision(run.plan.single, run) as lowered:
            key_ = jax.random.fold_in(key, first)
            return jax.device_get(over_devices(_batch, lowered, run.plan.devices, key_))

    # All parts have one shape, so that they compile once; what is too many is dropped.
    part = lambda first: kept.get(first, Outcomes, lambda: simulated(first))  # noqa: E731
    parts: list[Outcomes] = []
    with ThreadPoolExecutor(run.plan.workers) as workers:
        # The first alone: it compiles, and the others would wait for that anyway.
        for outcomes in _in_order(workers, part, run.plan.starts):
            parts.append(outcomes)
            watch(min(len(parts) * run.plan.size * run.plan.devices, run.plan.campaigns))
    return parts


def _in_order(workers: ThreadPoolExecutor, part: Callable[[int], Outcomes], starts: range) -> Iterator[Outcomes]:
    yield part(starts[0])
    yield from workers.map(part, starts[1:])
