"""A campaign is a fold over its ledger: state = fold(absorb, events)."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.campaign import policy as rules
from mfal.campaign.correction import amend
from mfal.campaign.measurements import as_measured
from mfal.campaign.policy import Outcome, Policy, Proposal, State
from mfal.campaign.record import failures_in_a_row, recorded_observation, with_correction
from mfal.campaign.schedule import Flight
from mfal.campaign.withdrawal import no_longer_paying
from mfal.dataset import Answers, Dataset, withdraw
from mfal.errors import LedgerError, ReplayMismatchError
from mfal.fidelity import Ladder
from mfal.ledger.event import Event, EventKind
from mfal.oracle import Observation, Query
from mfal.space.pool import Pool
from mfal.surrogate.mistaken import settled

_propose = eqx.filter_jit(rules.propose)
_commit = eqx.filter_jit(rules.commit)
_absorb = eqx.filter_jit(rules.absorb)
_amend = eqx.filter_jit(amend)
_no_longer_paying = eqx.filter_jit(no_longer_paying)
_settled = eqx.filter_jit(settled)
_condition = eqx.filter_jit(lambda surrogate, dataset: surrogate.condition(dataset))

_FREE_EUR = 1e-9
_SAME_PRICE = 0.1  # share; estimates are hardly better, and each move is an event of the ledger


@dataclass(frozen=True)
class Rules:
    """What stays fixed during a campaign: policy, first state, names and seed."""

    policy: Policy
    first: State
    ladder: Ladder
    pool: Pool
    seed: int


@dataclass(frozen=True)
class Progress:
    """What the events so far amount to.

    Attributes:
        state: as the policy sees it.
        flights: queries submitted and not answered.
        hours: the campaign's clock.
        decisions: taken so far.
        undecided: answers or corrections have come in since the last decision.
        observations: in the order of arrival, corrected ones in the place of the earlier ones.
        stopped: why the campaign ended, or None.
        price_factor: expected price of every query over the declared one, shape (candidates, fidelities); None before
            any is expected to differ.
    """

    state: State
    flights: tuple[Flight, ...] = ()
    hours: float = 0.0
    decisions: int = 0
    undecided: bool = True
    observations: tuple[Observation, ...] = ()
    stopped: str | None = None
    price_factor: np.ndarray | None = None

    def known(self, candidates: Iterable[str]) -> dict[str, dict[str, Mapping[str, Any]]]:
        """Details of the successful observations of candidates, by candidate and fidelity."""
        found: dict[str, dict[str, Mapping[str, Any]]] = {candidate: {} for candidate in candidates}
        for observation in self.observations:
            if observation.candidate in found and observation.failure is None:
                found[observation.candidate][observation.fidelity] = observation.details
        return found


def fold(rules_: Rules, events: Iterable[Event], check: bool = False) -> Progress:
    """Rebuild the progress from a ledger's events.

    Args:
        rules_: of the campaign that wrote the ledger.
        events: from the first on, already verified.
        check: compute every decision again and compare it, and the state it was taken in, bit for bit.

    Raises:
        ReplayMismatchError: with `check`, a recorded decision differs from the recomputed one.
    """
    progress = Progress(rules_.first)
    for kind, group in _groups(events):
        if kind == EventKind.DECISION:
            for event in group:
                if check:
                    _compare(decide(rules_, progress), event)
                progress = after_decision(rules_, progress, event.payload)
        elif kind == EventKind.OBSERVATION:
            progress = after_observations(rules_, progress, [event.payload for event in group])
        elif kind == EventKind.PRICES:
            for event in group:
                progress = after_prices(rules_, progress, event.payload)
        elif kind == EventKind.WITHDRAWAL:
            for event in group:
                progress = after_withdrawal(rules_, progress, event.payload)
        elif kind == EventKind.CORRECTION:
            for event in group:
                progress = after_correction(rules_, progress, event.payload)
        elif kind == EventKind.STOP:
            progress = replace(progress, stopped=str(group[-1].payload["reason"]))
    return progress


def decide(rules_: Rules, progress: Progress) -> dict[str, Any]:
    """Return the payload of the next decision; nothing is changed."""
    state = rules.with_room(rules_.policy, progress.state)
    key = jax.random.fold_in(jax.random.key(rules_.seed), progress.decisions)
    policy = current_policy(rules_, progress)
    proposed = _propose(policy, state, key)
    prices = np.asarray(policy.expected_price_eur(proposed.candidate, proposed.fidelity))
    proposal = jax.tree.map(np.asarray, proposed)
    return {
        "index": progress.decisions,
        "hours": progress.hours,
        "state": digest(state),
        "outcome": Outcome(int(proposal.outcome)).name,
        "queries": [_query_payload(rules_, proposal, row, float(prices[row])) for row in range(int(proposal.count))],
    }


def after_decision(rules_: Rules, progress: Progress, payload: Mapping[str, Any]) -> Progress:
    """Return the progress with the decision's queries in flight."""
    pool, ladder = rules_.pool, rules_.ladder
    known = progress.known(q["candidate"] for q in payload["queries"])
    queries = [
        Query(q["candidate"], q["fidelity"], q["price_eur"], known[q["candidate"]], _urgency(q))
        for q in payload["queries"]
    ]
    candidate = _padded([pool.index(q.candidate) for q in queries], rules_.policy.batch, np.int32)
    fidelity = _padded([ladder.index(q.fidelity) for q in queries], rules_.policy.batch, np.int32)
    flights = tuple(Flight(q, progress.hours + ladder[q.fidelity].latency_hours) for q in queries)
    return replace(
        progress,
        state=_commit(
            rules_.policy,
            rules.with_room(rules_.policy, progress.state),
            candidate,
            fidelity,
            jnp.asarray(len(queries)),
        ),
        flights=progress.flights + flights,
        decisions=progress.decisions + 1,
        undecided=False,
    )


def after_observations(rules_: Rules, progress: Progress, payloads: Sequence[Mapping[str, Any]]) -> Progress:
    """Return the progress with answers absorbed together, as they were when they came in."""
    observations = [recorded_observation(payload) for payload in payloads]
    landed = {observation.key for observation in observations}
    missing = landed - {flight.query.key for flight in progress.flights}
    if missing:
        raise LedgerError(
            f"answers to {sorted(missing)} were recorded without a decision: the ledger is not of this version"
        )
    return replace(
        progress,
        state=_as_measured(
            rules_,
            _absorb(rules_.policy, progress.state, _answers(rules_, observations)),
            [*progress.observations, *observations],
        ),
        flights=tuple(flight for flight in progress.flights if flight.query.key not in landed),
        hours=max(float(payload["hours"]) for payload in payloads),
        undecided=True,
        observations=progress.observations + tuple(observations),
    )


def after_correction(rules_: Rules, progress: Progress, payload: Mapping[str, Any]) -> Progress:
    """Return the progress with a newer answer in the place of an earlier one; a campaign that had stopped goes on.

    Raises:
        LedgerError: there is no earlier answer.
    """
    newer = recorded_observation(payload)
    older = next((one for one in progress.observations if one.key == newer.key), None)
    if older is None:
        raise LedgerError(f"{newer.key} was corrected before it was answered: the ledger is not of this version")
    observations = with_correction(progress.observations, newer)
    streaks = failures_in_a_row(rules_.ladder, observations)
    difference = replace(newer, price_eur=newer.price_eur - older.price_eur)
    failures = jnp.array([streaks.get(name, 0) for name in rules_.ladder.names], dtype=jnp.int32)
    return replace(
        progress,
        state=_as_measured(
            rules_,
            _amend(rules_.policy, progress.state, _answers(rules_, [difference]), failures),
            observations,
        ),
        hours=max(progress.hours, float(payload["hours"])),
        undecided=True,
        observations=tuple(observations),
        stopped=None,
    )


def after_prices(rules_: Rules, progress: Progress, payload: Mapping[str, Any]) -> Progress:
    """Return the progress with what queries of a fidelity are now expected to cost."""
    level, shape = rules_.ladder.index(payload["fidelity"]), (len(rules_.pool), len(rules_.ladder.fidelities))
    factor = np.ones(shape) if progress.price_factor is None else progress.price_factor.copy()
    for candidate, price_eur in payload["expected_eur"].items():
        factor[rules_.pool.index(candidate), level] = price_eur / rules_.ladder.fidelities[level].price_eur
    return replace(progress, price_factor=factor)


def moved_prices(
    rules_: Rules, progress: Progress, fidelity: str, expected_eur: Mapping[str, float]
) -> dict[str, float]:
    """Return the expected prices of open queries that differ from those in use by more than `_SAME_PRICE`."""
    level, policy = rules_.ladder.index(fidelity), current_policy(rules_, progress)
    shape, asked = (len(rules_.pool), len(rules_.ladder.fidelities)), np.asarray(progress.state.dataset.asked)
    now = np.broadcast_to(np.asarray(policy.expected_prices_eur), shape)[:, level]
    return {
        candidate: price_eur
        for candidate, price_eur in expected_eur.items()
        if not asked[row := rules_.pool.index(candidate), level] and abs(price_eur - now[row]) > _SAME_PRICE * now[row]
    }


def after_withdrawal(rules_: Rules, progress: Progress, payload: Mapping[str, Any]) -> Progress:
    """Return the progress without queries that were taken back before anything was spent on them."""
    gone = set(payload["queries"])
    query = np.zeros((len(rules_.pool), len(rules_.ladder.fidelities)), np.bool_)
    for flight in progress.flights:
        query[_place(rules_, flight.query)] = flight.query.key in gone
    state = eqx.tree_at(lambda s: s.dataset, progress.state, withdraw(progress.state.dataset, jnp.asarray(query)))
    flights = tuple(flight for flight in progress.flights if flight.query.key not in gone)
    return replace(progress, state=state, flights=flights)


def current_policy(rules_: Rules, progress: Progress) -> Policy:
    """Return the policy with the prices that are expected now."""
    if progress.price_factor is None:
        return rules_.policy
    factor = jnp.asarray(progress.price_factor)
    return eqx.tree_at(lambda p: p.price_factor, rules_.policy, factor, is_leaf=lambda leaf: leaf is None)


def not_worth_waiting_for(rules_: Rules, progress: Progress) -> list[Query]:
    """Return the queries in flight that no longer pay."""
    state = rules.with_room(rules_.policy, progress.state)
    key = jax.random.fold_in(jax.random.key(rules_.seed), progress.decisions)
    query = np.asarray(_no_longer_paying(current_policy(rules_, progress), state, key))
    return [flight.query for flight in progress.flights if query[_place(rules_, flight.query)]]


def digest(state: State) -> str:
    """Return the SHA-256 of every array that a decision depends on, apart from the belief, which follows from them."""
    value = hashlib.sha256()
    named = (state.surrogate, state.dataset, state.spent_eur, state.fitted_at, state.failures)
    for leaf in jax.tree.leaves(eqx.filter(named, eqx.is_array)):
        value.update(np.ascontiguousarray(leaf).tobytes())
    return value.hexdigest()


def _groups(events: Iterable[Event]) -> Iterator[tuple[EventKind, list[Event]]]:
    relevant = (event for event in events if event.kind != EventKind.RESUME)
    for kind, group in groupby(relevant, key=lambda event: EventKind(event.kind)):
        yield kind, list(group)


def _compare(again: dict[str, Any], event: Event) -> None:
    for key, value in again.items():
        if event.payload[key] != value:
            raise ReplayMismatchError(
                f"event {event.sequence}: {key} was {event.payload[key]!r}, recomputed {value!r}; "
                "replay with the package versions named in the ledger's first event"
            )


def _place(rules_: Rules, query: Query) -> tuple[int, int]:
    return rules_.pool.index(query.candidate), rules_.ladder.index(query.fidelity)


def _urgency(query: Mapping[str, Any]) -> float:
    return query["gain"] / max(query["price_eur"], _FREE_EUR)


def _query_payload(rules_: Rules, proposal: Proposal, row: int, price_eur: float) -> dict[str, Any]:
    return {
        "candidate": rules_.pool.ids[int(proposal.candidate[row])],
        "fidelity": rules_.ladder.fidelities[int(proposal.fidelity[row])].name,
        "price_eur": price_eur,
        "gain": float(proposal.gain[row]),
        "probability": float(proposal.probability[row]),
        "mean": float(proposal.mean[row]),
        "sd": float(proposal.sd[row]),
    }


def _answers(rules_: Rules, observations: Sequence[Observation]) -> Answers:
    ladder, size = rules_.ladder, rules_.policy.batch
    noise = [ladder[o.fidelity].sd_of(o.noise_sd) for o in observations]
    return Answers(
        candidate=_padded([rules_.pool.index(o.candidate) for o in observations], size, np.int32),
        fidelity=_padded([ladder.index(o.fidelity) for o in observations], size, np.int32),
        value=_padded([0.0 if o.value is None else o.value for o in observations], size, np.float64),
        noise_variance=_padded([sd**2 for sd in noise], size, np.float64),
        price_eur=_padded([o.price_eur for o in observations], size, np.float64),
        failed=_padded([o.failure is not None for o in observations], size, np.bool_),
        valid=_padded([True] * len(observations), size, np.bool_),
    )


def _as_measured(rules_: Rules, state: State, observations: Sequence[Observation]) -> State:
    """Return the state with a laboratory's answers as all of its observations together say they count."""
    measured = as_measured(rules_.ladder, rules_.pool, observations)
    if measured is None:
        return state
    value, noise = (jnp.where(state.dataset.observed, one, 0.0) for one in map(jnp.asarray, measured))
    dataset = Dataset(
        state.dataset.status, value, jnp.where(state.dataset.observed, noise, state.dataset.noise_variance)
    )
    share = jnp.array([one.mistaken_share for one in rules_.ladder.fidelities])
    if not share.any():
        return eqx.tree_at(lambda s: (s.dataset, s.belief), state, (dataset, _condition(state.surrogate, dataset)))
    answers = [int(count) for count in jnp.sum(dataset.asked, axis=0) + rules_.policy.capacity]
    surrogate, belief, counted = _settled(rules_.first.surrogate.with_room(answers), dataset, share)
    return eqx.tree_at(lambda s: (s.surrogate, s.belief, s.dataset), state, (surrogate, belief, counted))


def _padded(entries: Sequence[Any], size: int, dtype: Any) -> jax.Array:
    row = np.zeros(size, dtype=dtype)
    row[: len(entries)] = entries
    return jnp.asarray(row)
