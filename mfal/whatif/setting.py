"""The setting in which scenarios are compared: one start, and the same drawn worlds for all of them.

Common random numbers: what differs between two scenarios of one world is due to the scenario, so that differences are
known far better than the outcomes themselves. All scenarios have the shapes of the widest, so that one compiled
simulation serves every question.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign.goal import Goal
from mfal.campaign.policy import Policy, State, known_targets
from mfal.errors import StudyError
from mfal.surrogate.base import Posterior
from mfal.types import Array, PRNGKeyArray
from mfal.whatif.faults import Faults, FaultyTwin
from mfal.whatif.mixture import MixtureTwin, twin_of
from mfal.whatif.scenario import with_budget, with_price, with_spare_slots
from mfal.whatif.simulate import Start, prepared
from mfal.whatif.spread import ON_PROCESSOR
from mfal.whatif.study import Outcomes, outcomes_in, refuse
from mfal.whatif.twin import PosteriorTwin
from mfal.whatif.value import Value
from mfal.whatif.world import Table

# Scenarios stay within this much of the campaign's budget, and above this share of each price.
MOST_BUDGET, LEAST_PRICE = 1.5, 0.5
# Queries that a scenario may commit beforehand, beyond the slots.
EARMARKED = 128
# Worlds that scenarios are compared in at least, as fewer have no standard error to speak of; else one in so many.
LEAST_COMPARED, SHARE = 8, 8
# Key of the draws that the worlds share, beside those of the batches, which are their first campaigns.
_TWIN = 2**31 - 1

Run = Callable[[Policy, Start, Table], Outcomes]


@dataclass(frozen=True)
class Setting:
    """What the questions of a study have in common.

    Attributes:
        policy: as the campaign has it, with room for every scenario.
        start: where all simulated campaigns begin, with room for every scenario.
        names: of the fidelities.
        goal: says which candidates are hits.
        value: what success is worth.
        worlds: that the scenarios are compared in, stacked.
        others: as many worlds that are independent of these.
        base: outcomes of `policy` in `worlds`.
        run: simulates a policy from a start in stacked worlds, each scenario once.
    """

    policy: Policy
    start: Start
    names: tuple[str, ...]
    goal: Goal
    value: Value
    worlds: Table
    others: Table
    base: Outcomes
    run: Run

    def outcomes(self, policy: Policy) -> Outcomes:
        """Return the outcomes of a changed policy in the same worlds."""
        return self.run(policy, self.start, self.worlds)

    @property
    def lower(self) -> list[int]:
        """Fidelities other than the target."""
        return [level for level in range(len(self.names)) if level != self.policy.target]

    def paid_eur(self, outcomes: Outcomes, policy: Policy) -> np.ndarray:
        """Return the mean money that goes to each fidelity from the start on, in EUR, shape (fidelities,)."""
        dataset = self.start.state.dataset
        answered = np.sum(np.asarray(dataset.asked & ~dataset.pending), axis=0)
        asked = np.asarray(outcomes.asked)[:, -1].mean(axis=0)
        return (asked - answered) * np.asarray(policy.price_eur)


def set_up(
    policy: Policy,
    start: Start,
    names: tuple[str, ...],
    goal: Goal,
    value: Value,
    campaigns: int,
    steps: int,
    seed: int,
    watch: Callable[[int], None] = lambda _: None,
    faults: tuple[Faults | None, ...] = (),
) -> tuple[Outcomes, Setting]:
    """Simulate a campaign as it is planned, and return the outcomes with the setting for comparisons.

    Scenarios are compared in an eighth of the worlds (8 at least, 32 at most): differences between scenarios of one
    world scatter less than outcomes do.

    Args:
        policy: rules of the campaign.
        start: where the simulated campaigns begin.
        names: of the fidelities.
        goal: says which candidates are hits in a world.
        value: what success is worth.
        campaigns: simulated as planned.
        steps: decisions of each at most.
        seed: the same seed, the same worlds.
        watch: is told how many campaigns have been simulated since it was last told.
        faults: of each fidelity, in the worlds; empty if none has any.

    Raises:
        StudyError: the study could tell nothing, or a part of the policy cannot be simulated.
    """
    refuse(policy, start, campaigns, steps)
    refuse_without_target(policy, start)
    policy = jax.tree.map(_of_fixed_type, policy)
    roomy, start = with_spare_slots(policy, start, min(EARMARKED, start.state.dataset.status.size))
    ready, key, size = _with_room(roomy, start, steps), jax.random.key(seed), _compared(campaigns)
    twin = twin_of(roomy, ready.state, jax.random.fold_in(key, _TWIN))
    twin = FaultyTwin(twin, faults) if any(faults) else twin
    worlds, keys = _drawn(twin, roomy, ready.state, size, jax.random.fold_in(key, 0))
    parts = [jax.block_until_ready(_simulated(roomy, ready, goal, worlds, keys, steps))]
    watch(size)
    for done in range(size, campaigns, size):
        further = _drawn(twin, roomy, ready.state, size, jax.random.fold_in(key, done))
        parts.append(jax.block_until_ready(_simulated(roomy, ready, goal, *further, steps)))
        watch(size)
    outcomes = jax.tree.map(lambda *columns: jnp.concatenate(columns)[:campaigns], *parts)
    others, _ = _drawn(twin, roomy, ready.state, size, jax.random.fold_in(key, campaigns + size))

    def run(changed: Policy, begin: Start, among: Table) -> Outcomes:
        found = jax.block_until_ready(_simulated(changed, begin, goal, among, keys, steps))
        watch(size)
        return found

    base = parts[0]
    remembered = once_each(run, {_digest(roomy, ready, worlds): base})
    return outcomes, Setting(roomy, ready, names, goal, value, worlds, others, base, remembered)


def once_each(run: Run, known: dict[str, Outcomes]) -> Run:
    """Return `run` that simulates a scenario no second time when another question asks for it too."""

    def remembered(policy: Policy, start: Start, worlds: Table) -> Outcomes:
        digest = _digest(policy, start, worlds)
        if digest not in known:
            known[digest] = run(policy, start, worlds)
        return known[digest]

    return remembered


def refuse_without_target(policy: Policy, start: Start) -> None:
    """Raise a StudyError where no measurement can follow, or a part of the policy cannot be simulated."""
    state, price = start.state, float(policy.price_eur[policy.target])
    left = float(policy.budget_eur - state.spent_eur)
    if bool(jnp.all(state.dataset.asked[:, policy.target])):
        count = state.dataset.status.shape[0]
        raise StudyError(f"all {count} candidates have been asked at the target, none is left; add candidates")
    if left < price and not bool(start.flights.used.any()):
        raise StudyError(
            f"budget_eur leaves EUR {left:g}, and one query of the target costs {price:g}; raise the budget"
        )
    _refuse_changing_shapes(policy, state)


def _of_fixed_type(leaf: Array) -> Array:
    """Return an array that a changed one may stand in for: JAX compiles anew where one type is weak, the other not."""
    return jnp.asarray(leaf, dtype=leaf.dtype)


def _with_room(policy: Policy, start: Start, steps: int) -> Start:
    """Return the start with room for the widest scenario."""
    widest = with_budget(policy, MOST_BUDGET * float(policy.budget_eur))
    for level, price in enumerate(np.asarray(policy.price_eur)):
        widest = with_price(widest, level, LEAST_PRICE * float(price))
    return prepared(widest, start, steps, frozen=True)


def _compared(campaigns: int) -> int:
    """Return in how many worlds scenarios are compared, which is also how many campaigns are simulated together."""
    return min(ON_PROCESSOR, max(LEAST_COMPARED, -(-campaigns // SHARE)))


@eqx.filter_jit
def _drawn(
    twin: PosteriorTwin | MixtureTwin | FaultyTwin, policy: Policy, state: State, count: int, key: PRNGKeyArray
) -> tuple[Table, Array]:
    of_worlds, of_campaigns = jax.random.split(key)
    return twin.draw(policy, state, count, of_worlds), jax.random.split(of_campaigns, count)


@eqx.filter_jit
def _simulated(policy: Policy, start: Start, goal: Goal, worlds: Table, keys: Array, steps: int) -> Outcomes:
    return outcomes_in(policy, start, goal, worlds, keys, steps)


def _refuse_changing_shapes(policy: Policy, state: State) -> None:
    """Trace acquisition and surrogate alone: what they are called belongs into the message."""
    known, fresh = known_targets(policy, state.dataset), state.dataset.observed
    parts = (
        ("acquisition", policy.acquisition,
         lambda: policy.acquisition(Posterior.of(state.belief, 1), known, jax.random.key(0))),
        ("surrogate", state.surrogate, lambda: state.surrogate.extend(state.belief, state.dataset, fresh)),
    )  # fmt: skip
    for role, part, call in parts:
        try:
            eqx.filter_eval_shape(call)
        except TypeError as error:
            name = type(part).__name__
            raise StudyError(
                f"{role} = {name} has no form of fixed shape, which simulation needs; choose another in [model]"
            ) from error


def _digest(policy: Policy, start: Start, worlds: Table) -> str:
    value = hashlib.sha256()
    for leaf in jax.tree.leaves(eqx.filter((policy, start, worlds), eqx.is_array)):
        value.update(np.ascontiguousarray(leaf).tobytes())
    return value.hexdigest()
