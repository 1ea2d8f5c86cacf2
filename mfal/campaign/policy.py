"""The decision itself: `propose`, `commit` and `absorb`, pure and of fixed shape.

The live loop, the replay of a ledger and simulated campaigns all run exactly these functions.
"""

from dataclasses import replace
from enum import IntEnum

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.dataset import FAILED, Answers, Dataset, add_pending, record, table, values
from mfal.surrogate.base import AbstractSurrogate
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray


class Outcome(IntEnum):
    """Why a proposal holds what it holds."""

    QUERIES = 0
    WAITING = 1
    NOTHING_PAYS = 2
    BUDGET_SPENT = 3
    NOTHING_LEFT = 4


class Policy(eqx.Module):
    """The rules of a campaign; arrays over the ladder, shape (fidelities,) unless stated.

    Attributes:
        acquisition: worth of every query in EUR.
        price_eur: price of one query.
        capacity: queries that may be in flight.
        noise_variance: of an answer that reports none, unit squared.
        requires: whether the fidelity of the row needs an answer of that of the column first.
        budget_eur: all that may be spent.
        target: index of the target fidelity.
        batch: most queries in one proposal.
        failure_limit: a fidelity that fails so often in a row is not asked again.
    """

    acquisition: AbstractAcquisition
    price_eur: Float[Array, " L"]
    capacity: Int[Array, " L"]
    noise_variance: Float[Array, " L"]
    requires: Bool[Array, "L L"]
    budget_eur: Float[Array, ""]
    target: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    failure_limit: int = eqx.field(static=True)


class State(eqx.Module):
    """All that decisions depend on.

    Attributes:
        surrogate: with its current hyper-parameters.
        dataset: every query so far.
        spent_eur: paid so far, without queries in flight.
        fitted_at: observed rows when the hyper-parameters were last fitted.
        failures: failures in a row per fidelity.
    """

    surrogate: AbstractSurrogate
    dataset: Dataset
    spent_eur: Float[Array, ""]
    fitted_at: Int[Array, ""]
    failures: Int[Array, " L"]


class Proposal(eqx.Module):
    """The queries to submit now; rows from `count` on are padding, arrays of shape (batch,).

    Attributes:
        candidate: index in the pool.
        fidelity: index in the ladder.
        gain_eur: expected gain before the price.
        probability: that the candidate is a hit, before this query.
        mean: expected target property.
        sd: its standard deviation.
        count: rows that are queries.
        outcome: an `Outcome`.
    """

    candidate: Int[Array, " batch"]
    fidelity: Int[Array, " batch"]
    gain_eur: Float[Array, " batch"]
    probability: Float[Array, " batch"]
    mean: Float[Array, " batch"]
    sd: Float[Array, " batch"]
    count: Int[Array, ""]
    outcome: Int[Array, ""]


def initial_state(surrogate: AbstractSurrogate, dataset: Dataset, fidelities: int) -> State:
    """Return the state before the first decision."""
    zero = jnp.zeros((), dtype=jnp.int32)
    return State(surrogate, dataset, jnp.zeros(()), zero, jnp.zeros(fidelities, dtype=jnp.int32))


def propose(policy: Policy, state: State, key: PRNGKeyArray) -> Proposal:
    """Return the queries that pay now, chosen one after the other, each knowing the ones before it as pending.

    For every candidate the cheapest fidelity that pays is considered; among these the greatest gain per EUR wins.
    """

    def unfinished(carry: tuple[Proposal, Dataset, Bool[Array, ""]]) -> Bool[Array, ""]:
        return carry[2]

    def choose(carry: tuple[Proposal, Dataset, Bool[Array, ""]]) -> tuple[Proposal, Dataset, Bool[Array, ""]]:
        proposal, dataset, _ = carry
        posterior = state.surrogate.condition(dataset)
        worth = policy.acquisition(posterior, known_targets(policy, dataset, posterior.mean.shape[0]), key)
        options = _options(policy, state, dataset, worth)
        ratio = jnp.where(options.open, worth.gain_eur / jnp.maximum(policy.price_eur, _FREE), -jnp.inf)
        candidate, fidelity = jnp.unravel_index(jnp.argmax(ratio), ratio.shape)
        found = options.open.any() & (dataset.count < dataset.status.shape[0])
        row = jnp.where(found, proposal.count, policy.batch)
        entries = {
            "candidate": candidate,
            "fidelity": fidelity,
            "gain_eur": worth.gain_eur[candidate, fidelity],
            "probability": worth.probability[candidate],
            "mean": posterior.mean[candidate, policy.target],
            "sd": jnp.sqrt(posterior.variance[candidate, policy.target]),
        }
        proposal = _write(proposal, row, entries, found, options.outcome)
        dataset = jax.tree.map(
            lambda new, old: jnp.where(found, new, old),
            add_pending(dataset, candidate, fidelity, policy.noise_variance[fidelity]),
            dataset,
        )
        return proposal, dataset, found & (proposal.count < policy.batch)

    start = (_blank(policy.batch), state.dataset, jnp.asarray(True))
    return jax.lax.while_loop(unfinished, choose, start)[0]


def commit(
    policy: Policy, state: State, candidate: Int[Array, " batch"], fidelity: Int[Array, " batch"], count: Int[Array, ""]
) -> State:
    """Return the state with the first `count` queries pending."""

    def add(dataset: Dataset, row: tuple[Array, Array, Array]) -> tuple[Dataset, None]:
        grown = add_pending(dataset, row[0], row[1], policy.noise_variance[row[1]])
        return jax.tree.map(lambda new, old: jnp.where(row[2], new, old), grown, dataset), None

    use = jnp.arange(candidate.shape[0]) < count
    dataset, _ = jax.lax.scan(add, state.dataset, (candidate, fidelity, use))
    return eqx.tree_at(lambda s: s.dataset, state, dataset)


def absorb(policy: Policy, state: State, answers: Answers) -> State:
    """Return the state with the answers recorded, paid for, and learnt from.

    Hyper-parameters are fitted again when the target has answered or the data have grown by a tenth.
    """
    dataset = record(state.dataset, answers)
    observed = jnp.sum(dataset.observed).astype(jnp.int32)
    fresh = observed - state.fitted_at
    at_target = jnp.any(answers.valid & ~answers.failed & (answers.fidelity == policy.target))
    due = (fresh > 0) & (at_target | (10 * fresh > state.fitted_at))
    return State(
        surrogate=jax.lax.cond(due, lambda s: s.fit(dataset), lambda s: s, state.surrogate),
        dataset=dataset,
        spent_eur=state.spent_eur + jnp.sum(jnp.where(answers.valid, answers.price_eur, 0.0)),
        fitted_at=jnp.where(due, observed, state.fitted_at),
        failures=_count_failures(state.failures, answers),
    )


class _Options(eqx.Module):
    open: Bool[Array, "n L"]
    outcome: Int[Array, ""]


# Free queries compare by gain alone instead of dividing by zero.
_FREE = 1e-9


def _options(policy: Policy, state: State, dataset: Dataset, worth: Worth) -> _Options:
    candidates, fidelities = worth.gain_eur.shape
    observed = table(dataset, dataset.observed, candidates, fidelities)
    asked = table(dataset, dataset.status > 0, candidates, fidelities)
    pending = table(dataset, dataset.pending, candidates, fidelities)
    ready = ~jnp.any(policy.requires & ~observed[:, None, :], axis=2)
    working = state.failures < policy.failure_limit
    possible = ~asked & ready & working & working[policy.target]
    paying = possible & (worth.gain_eur > policy.price_eur)
    slots = policy.capacity > jnp.sum(pending, axis=0)
    committed = state.spent_eur + jnp.sum(pending * policy.price_eur)
    # Information is worth its price only while the measurement that it is for can still be paid.
    follow_up = jnp.where(jnp.arange(fidelities) == policy.target, 0.0, policy.price_eur[policy.target])
    affordable = committed + policy.price_eur + follow_up <= policy.budget_eur
    price = jnp.where(paying & affordable, policy.price_eur, jnp.inf)
    cheapest = paying & affordable & (jnp.arange(fidelities) == jnp.argmin(price, axis=1)[:, None])
    idle = cheapest & ~pending.any(axis=1, keepdims=True)
    outcome = jnp.select(
        [pending.any(), paying.any() & ~(paying & affordable).any(), possible.any()],
        [Outcome.WAITING, Outcome.BUDGET_SPENT, Outcome.NOTHING_PAYS],
        Outcome.NOTHING_LEFT,
    )
    return _Options(idle & slots, outcome)


def known_targets(policy: Policy, dataset: Dataset, candidates: int) -> Known:
    """Return the target answers in hand, and the candidates whose measurement failed."""
    measured, value = values(dataset, policy.target, candidates)
    failed = (dataset.status == FAILED) & (dataset.fidelity == policy.target)
    closed = jnp.zeros(candidates, dtype=bool).at[dataset.candidate].max(failed)
    return Known(measured, value, closed)


def _count_failures(failures: Int[Array, " L"], answers: Answers) -> Int[Array, " L"]:
    def step(count: Array, row: tuple[Array, Array, Array]) -> tuple[Array, None]:
        fidelity, failed, valid = row
        updated = count.at[fidelity].set(jnp.where(failed, count[fidelity] + 1, 0))
        return jnp.where(valid, updated, count), None

    return jax.lax.scan(step, failures, (answers.fidelity, answers.failed, answers.valid))[0]


def _blank(batch: int) -> Proposal:
    indices, zeros, zero = jnp.zeros(batch, dtype=jnp.int32), jnp.zeros(batch), jnp.zeros((), dtype=jnp.int32)
    return Proposal(indices, indices, zeros, zeros, zeros, zeros, zero, zero)


def _write(proposal: Proposal, row: Array, entries: dict[str, Array], found: Array, outcome: Array) -> Proposal:
    def written(name: str, entry: Array) -> Array:
        column = getattr(proposal, name)
        return column.at[row].set(entry.astype(column.dtype), mode="drop")

    count = proposal.count + found.astype(jnp.int32)
    reason = jnp.where(count > 0, Outcome.QUERIES, outcome).astype(jnp.int32)
    columns = {name: written(name, entry) for name, entry in entries.items()}
    return replace(proposal, **columns, count=count, outcome=reason)
