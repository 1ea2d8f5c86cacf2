"""One campaign in a simulated world: the live `propose`, `commit` and `absorb` in a scan over its decisions.

Time passes as on a live campaign's declared clock: the queries that are due first land together, and then the policy
decides again. ``vmap`` over states, worlds, policies or keys simulates many campaigns at once.
"""

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.batching import for_any
from mfal.campaign.policy import Policy, State, absorb, commit, propose, sized
from mfal.dataset import Answers
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray
from mfal.whatif.world import AbstractWorld


class Aim(eqx.Module):
    """What a campaign is judged by in one world; it is not told.

    Attributes:
        hits: the candidates that are looked for.
        merit: how far each is from the best there could be; only the order counts, and low is good.
    """

    hits: Bool[Array, " n"]
    merit: Float[Array, " n"]


class Flights(eqx.Module):
    """Queries in flight in the order in which they were asked; rows from the first unused one on are padding.

    Attributes:
        candidate: index in the pool.
        fidelity: index in the ladder.
        due_hours: when they land, on the campaign's clock.
        used: whether the row is a query.
    """

    candidate: Int[Array, " batch"]
    fidelity: Int[Array, " batch"]
    due_hours: Float[Array, " batch"]
    used: Bool[Array, " batch"]

    @staticmethod
    def none(size: int) -> "Flights":
        """Return that nothing is in flight."""
        index = jnp.zeros(size, jnp.int32)
        return Flights(index, index, jnp.zeros(size), jnp.zeros(size, bool))

    def joined(self, asked: "_Asked", due_hours: Float[Array, " batch"]) -> "Flights":
        """Return the flights with the queries asked behind them."""
        rank, size = jnp.arange(self.used.shape[0]), self.used.shape[0]
        at = jnp.where(rank < asked.count, jnp.sum(self.used) + rank, size)
        new = (asked.candidate, asked.fidelity, due_hours, jnp.ones(size, bool))
        old = (self.candidate, self.fidelity, self.due_hours, self.used)
        return Flights(*(was.at[at].set(now.astype(was.dtype), mode="drop") for was, now in zip(old, new, strict=True)))

    def without(self, landed: Bool[Array, " batch"]) -> "Flights":
        """Return the flights still to come."""
        left = self.used & ~landed
        order = jnp.argsort(~left, stable=True)
        return jax.tree.map(lambda leaf: leaf[order], eqx.tree_at(lambda flights: flights.used, self, left))


class Start(eqx.Module):
    """Where simulated campaigns begin: a live one's present, or its first moment.

    Attributes:
        state: with room for what is to come.
        flights: queries in flight.
        hours: on the clock.
        decisions: taken before.
    """

    state: State
    flights: Flights
    hours: Float[Array, ""]
    decisions: Int[Array, ""]


class Trace(eqx.Module):
    """What happened at each decision, arrays over the steps.

    Attributes:
        candidate: of the queries asked, shape (steps, batch).
        fidelity: of the queries asked, shape (steps, batch).
        count: how many they are; rows beyond are padding.
        hours: on the clock, once the next answers have landed.
        spent_eur: paid by then.
        hits: candidates measured by then that are hits.
        best: lowest merit among the candidates measured by then, infinite if there is none.
        asked: queries asked so far, shape (steps, fidelities).
        stopped: the campaign had ended.
    """

    candidate: Int[Array, "*steps batch"]
    fidelity: Int[Array, "*steps batch"]
    count: Int[Array, "*steps"]
    hours: Float[Array, "*steps"]
    spent_eur: Float[Array, "*steps"]
    hits: Int[Array, "*steps"]
    best: Float[Array, "*steps"]
    asked: Int[Array, "*steps L"]
    stopped: Bool[Array, "*steps"]


def simulate(
    policy: Policy, start: Start, world: AbstractWorld, aim: Aim, key: PRNGKeyArray, steps: int, refit_every: int = 0
) -> tuple[State, Trace]:
    """Return the last state and the trace of a campaign.

    Args:
        policy: rules of the campaign.
        start: where it begins; see `prepared`.
        world: gives the answers.
        aim: what the campaign is judged by.
        key: of the campaign; a live one has ``jax.random.key(seed)``.
        steps: decisions at most.
        refit_every: decisions after which hyper-parameters are fitted that are frozen otherwise; 0 for never.
    """
    course = _Course(start.state, start.flights, start.hours, jnp.zeros((), bool))
    blank = jax.eval_shape(lambda: _record(policy, course, _Asked.nothing(policy.batch), aim))
    trace = jax.tree.map(lambda leaf: jnp.zeros((steps, *leaf.shape), leaf.dtype), blank)

    def step(flow: _Flow) -> _Flow:
        course = _with_refit(flow.course, flow.step, refit_every) if refit_every else flow.course
        course, asked = _advanced(policy, world, course, jax.random.fold_in(key, start.decisions + flow.step))
        now = _record(policy, course, asked, aim)
        trace = jax.tree.map(lambda past, one: past.at[flow.step].set(one), flow.trace, now)
        return _Flow(course, trace, flow.step + 1)

    # A campaign that has stopped stays as it is, so that a batch of them may go on until the last one's end.
    unfinished = lambda flow: for_any(~flow.course.stopped) & (flow.step < steps)  # noqa: E731
    end = jax.lax.while_loop(unfinished, step, _Flow(course, trace, jnp.zeros((), jnp.int32)))
    return end.course.state, _held(end.trace, end.step)


def at_start(policy: Policy, start: Start, aim: Aim) -> Trace:
    """Return what the trace would hold before the first decision, one step long."""
    course = _Course(start.state, start.flights, start.hours, jnp.zeros((), bool))
    return jax.tree.map(lambda leaf: leaf[None], _record(policy, course, _Asked.nothing(policy.batch), aim))


def first_moment(policy: Policy, state: State) -> Start:
    """Return the start of a campaign that has asked nothing yet."""
    return Start(state, Flights.none(policy.batch), jnp.zeros(()), jnp.zeros((), jnp.int32))


def prepared(policy: Policy, start: Start, steps: int, frozen: bool) -> Start:
    """Return the start with room for all that can be asked, and no more.

    Args:
        policy: rules of the campaign.
        start: of a campaign.
        steps: decisions at most.
        frozen: hyper-parameters stay as they are; else they are fitted whenever a live campaign would.
    """
    state = start.state
    size = state.dataset.status.shape[0]
    least = policy.expected_prices_eur.reshape(-1, policy.limit.shape[0]).min(axis=0)
    left = jnp.maximum(policy.budget_eur - state.spent_eur, 0.0) / jnp.maximum(least, _FREE)
    more = jnp.minimum(left, 1.0 * steps * policy.batch)
    most = jnp.minimum(jnp.sum(state.dataset.asked, axis=0) + more, 1.0 * size)
    fitted_at = jnp.full_like(state.fitted_at, _NEVER) if frozen else state.fitted_at
    roomy = eqx.tree_at(lambda s: s.fitted_at, sized(state, most), fitted_at)
    return Start(roomy, start.flights, start.hours, start.decisions)


class _Asked(eqx.Module):
    candidate: Int[Array, " batch"]
    fidelity: Int[Array, " batch"]
    count: Int[Array, ""]

    @staticmethod
    def nothing(size: int) -> "_Asked":
        index = jnp.zeros(size, jnp.int32)
        return _Asked(index, index, jnp.zeros((), jnp.int32))


class _Course(eqx.Module):
    state: State
    flights: Flights
    hours: Float[Array, ""]
    stopped: Bool[Array, ""]


class _Flow(eqx.Module):
    course: _Course
    trace: Trace
    step: Int[Array, ""]


# Answers at which hyper-parameters that are frozen were last fitted.
_NEVER = 2**30
_FREE = 1e-9


def _advanced(policy: Policy, world: AbstractWorld, course: _Course, key: PRNGKeyArray) -> tuple[_Course, _Asked]:
    """Return the course after one more decision and the next landing."""
    proposal = propose(policy, course.state, key)
    count = jnp.where(course.stopped, 0, proposal.count)
    asked = _Asked(proposal.candidate, proposal.fidelity, count)
    state = commit(policy, course.state, asked.candidate, asked.fidelity, count)
    flights = course.flights.joined(asked, course.hours + policy.latency_hours[asked.fidelity])
    stopped = ~flights.used.any()
    due = jnp.min(jnp.where(flights.used, flights.due_hours, jnp.inf))
    hours, landed = jnp.where(stopped, course.hours, due), flights.used & (flights.due_hours == due)
    state = absorb(policy, state, _answers(policy, world, flights, landed, hours))
    return _Course(state, flights.without(landed), hours, stopped), asked


def _with_refit(course: _Course, step: Int[Array, ""], every: int) -> _Course:
    """Return the course with hyper-parameters that `absorb` takes for never fitted where it is their turn."""
    fitted_at = jnp.full_like(course.state.fitted_at, jnp.where((step + 1) % every == 0, 0, _NEVER))
    return eqx.tree_at(lambda course: course.state.fitted_at, course, fitted_at)


def _held(trace: Trace, steps: Int[Array, ""]) -> Trace:
    """Return the trace with the last of so many steps repeated until its end; there nothing is asked any more."""
    index = jnp.arange(trace.stopped.shape[0])
    last = jax.tree.map(lambda leaf: leaf[jnp.minimum(index, steps - 1)], trace)
    return eqx.tree_at(lambda trace: trace.count, last, jnp.where(index < steps, last.count, 0))


def _answers(
    policy: Policy, world: AbstractWorld, flights: Flights, landed: Bool[Array, " batch"], hours: Float[Array, ""]
) -> Answers:
    value, failed = world.answer(flights.candidate, flights.fidelity, hours)
    return Answers(
        candidate=flights.candidate,
        fidelity=flights.fidelity,
        value=value,
        noise_variance=policy.noise_variance[flights.fidelity],
        price_eur=policy.expected_price_eur(flights.candidate, flights.fidelity),
        failed=failed,
        valid=landed,
    )


def _record(policy: Policy, course: _Course, asked: _Asked, aim: Aim) -> Trace:
    measured = course.state.dataset.observed[:, policy.target]
    return Trace(
        candidate=asked.candidate,
        fidelity=asked.fidelity,
        count=asked.count,
        hours=course.hours,
        spent_eur=course.state.spent_eur,
        hits=jnp.sum(measured & aim.hits, dtype=jnp.int32),
        best=jnp.min(jnp.where(measured, aim.merit, jnp.inf)),
        asked=jnp.sum(course.state.dataset.asked, axis=0, dtype=jnp.int32),
        stopped=course.stopped,
    )
