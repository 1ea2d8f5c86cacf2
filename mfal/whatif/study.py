"""Many simulated campaigns, and what comes out of them."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.goal import Goal
from mfal.campaign.policy import Policy, State
from mfal.errors import StudyError
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray
from mfal.whatif.simulate import Aim, Start, prepared, simulate
from mfal.whatif.twin import draw_worlds
from mfal.whatif.world import Table

# Campaigns that are simulated together: enough to fill two cores; each holds a belief of its own.
TOGETHER = 32


class Outcomes(eqx.Module):
    """What simulated campaigns came to; arrays over (campaigns, steps).

    Attributes:
        spent_eur: paid so far, what had been paid before the study included.
        hours: on the campaign's clock.
        hits: measured so far, those in hand included.
        best: lowest merit among the measured candidates, infinite before the first.
        asked: queries at each fidelity so far, shape (campaigns, steps, fidelities).
        stopped: the campaign had ended.
    """

    spent_eur: Float[Array, "*campaigns steps"]
    hours: Float[Array, "*campaigns steps"]
    hits: Int[Array, "*campaigns steps"]
    best: Float[Array, "*campaigns steps"]
    asked: Int[Array, "*campaigns steps L"]
    stopped: Bool[Array, "*campaigns steps"]

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
    goal: Goal,
    campaigns: int,
    steps: int,
    seed: int,
    watch: Callable[[int], None] = lambda _: None,
) -> Outcomes:
    """Simulate campaigns that go on from one start, each in a world of its own drawn from the posterior.

    Args:
        policy: rules of the campaign.
        start: where they begin.
        goal: says which candidates are hits in a world.
        campaigns: how many.
        steps: decisions of each at most.
        seed: the same seed, the same study.
        watch: is told how many campaigns are done.

    Raises:
        StudyError: nothing can be learnt from so few campaigns, steps or EUR.
    """
    _refuse(policy, start.state, campaigns, steps)
    ready, key, parts = prepared(policy, start, frozen=True), jax.random.key(seed), []
    for done in range(0, campaigns, TOGETHER):
        # All parts have one shape, so that they compile once; what is too many is dropped.
        part = jax.random.fold_in(key, done)
        parts.append(jax.device_get(_together(policy, ready, goal, part, steps)))
        watch(min(done + TOGETHER, campaigns))
    return jax.tree.map(lambda *columns: jnp.asarray(np.concatenate(columns)[:campaigns]), *parts)


def aim(truth: Float[Array, " n"], window: tuple[float, float] | None, top: int | None, sign: float) -> Aim:
    """Return what a campaign is judged by where these are the true target values; NaN cannot be measured."""
    known = jnp.isfinite(truth)
    if window is not None:
        merit = jnp.where(known, jnp.abs(truth - 0.5 * (window[0] + window[1])), jnp.inf)
        return Aim((truth >= window[0]) & (truth <= window[1]), merit)
    merit = jnp.where(known, sign * truth, jnp.inf)
    return Aim((jnp.argsort(jnp.argsort(merit)) < (top or 1)) & known, merit)


@eqx.filter_jit
def _together(policy: Policy, start: Start, goal: Goal, key: PRNGKeyArray, steps: int) -> Outcomes:
    of_worlds, of_campaigns = jax.random.split(key)
    worlds = draw_worlds(policy, start.state, TOGETHER, of_worlds)

    def one(world: Table, key: PRNGKeyArray) -> Outcomes:
        judged = aim(world.truth(policy.target), goal.window, goal.top, goal.sign)
        trace = simulate(policy, start, world, judged, key, steps)[1]
        return Outcomes(*(getattr(trace, name) for name in Outcomes.__dataclass_fields__))

    return jax.vmap(one)(worlds, jax.random.split(of_campaigns, TOGETHER))


def _refuse(policy: Policy, state: State, campaigns: int, steps: int) -> None:
    left = float(policy.budget_eur - state.spent_eur)
    cheapest = float(jnp.min(policy.price_eur))
    if campaigns < 1 or steps < 1:
        raise StudyError(f"{campaigns=} and {steps=} simulate nothing; both must be at least 1")
    if left < cheapest:
        raise StudyError(f"budget_eur leaves EUR {left:g}, and the cheapest query costs {cheapest:g}; raise the budget")
