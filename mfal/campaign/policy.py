"""The decision itself: `propose`, `commit` and `absorb`, pure and of fixed shape.

The live loop, the replay of a ledger and simulated campaigns all run exactly these functions.
"""

from enum import IntEnum

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.acquisition.base import AbstractAcquisition, Known, Worth
from mfal.batching import for_all, for_any, replaced_if
from mfal.dataset import FAILED, Answers, Dataset, expect, record
from mfal.surrogate.base import AbstractBelief, AbstractSurrogate, Narrowing, Posterior
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
        acquisition: gain of every query.
        price_eur: price of one query as declared.
        latency_hours: time until its answer.
        capacity: queries that may be in flight.
        limit: queries in the whole campaign.
        noise_variance: of an answer that reports none, unit squared.
        requires: whether the fidelity of the row needs an answer of that of the column first.
        follows: the same, but a failure of that of the column will do.
        budget_eur: all that may be spent.
        waiting_eur_per_hour: what an hour of the campaign costs.
        target: index of the target fidelity.
        batch: most queries in one proposal.
        failure_limit: a fidelity that fails so often in a row is not asked again.
        foreseen: room for answers that are expected one by one, in flight and chosen; the capacities that are not bulk.
        price_factor: expected price over the declared one, shape (candidates, fidelities); None where none is expected.
    """

    acquisition: AbstractAcquisition
    price_eur: Float[Array, " L"]
    latency_hours: Float[Array, " L"]
    capacity: Int[Array, " L"]
    limit: Int[Array, " L"]
    noise_variance: Float[Array, " L"]
    requires: Bool[Array, "L L"]
    follows: Bool[Array, "L L"]
    budget_eur: Float[Array, ""]
    waiting_eur_per_hour: Float[Array, ""]
    target: int = eqx.field(static=True)
    batch: int = eqx.field(static=True)
    failure_limit: int = eqx.field(static=True)
    foreseen: int = eqx.field(static=True)
    price_factor: Float[Array, "n L"] | None = None

    def expected_price_eur(self, candidate: Int[Array, " k"], fidelity: Int[Array, " k"]) -> Float[Array, " k"]:
        """Return what queries are expected to cost."""
        declared = self.price_eur[fidelity]
        return declared if self.price_factor is None else declared * self.price_factor[candidate, fidelity]

    @property
    def expected_prices_eur(self) -> Float[Array, " L"] | Float[Array, "n L"]:
        """What every query is expected to cost; one row for all candidates where none differs."""
        return self.price_eur if self.price_factor is None else self.price_eur * self.price_factor


class State(eqx.Module):
    """All that decisions depend on.

    Attributes:
        surrogate: with its current hyper-parameters.
        belief: what the surrogate makes of the answers; kept so that one more answer costs an update only.
        dataset: every query so far.
        spent_eur: paid so far, without queries in flight.
        fitted_at: answers at each fidelity when the hyper-parameters were last fitted.
        failures: failures in a row per fidelity.
    """

    surrogate: AbstractSurrogate
    belief: AbstractBelief
    dataset: Dataset
    spent_eur: Float[Array, ""]
    fitted_at: Int[Array, " L"]
    failures: Int[Array, " L"]


class Proposal(eqx.Module):
    """The queries to submit now; rows from `count` on are padding, arrays of shape (batch,).

    Attributes:
        candidate: index in the pool.
        fidelity: index in the ladder.
        gain: expected gain before the price, in the acquisition's unit.
        probability: that the candidate is a hit, before this query.
        mean: expected target property.
        sd: its standard deviation.
        count: rows that are queries.
        outcome: an `Outcome`.
    """

    candidate: Int[Array, " batch"]
    fidelity: Int[Array, " batch"]
    gain: Float[Array, " batch"]
    probability: Float[Array, " batch"]
    mean: Float[Array, " batch"]
    sd: Float[Array, " batch"]
    count: Int[Array, ""]
    outcome: Int[Array, ""]


@eqx.filter_jit
def initial_state(surrogate: AbstractSurrogate, dataset: Dataset) -> State:
    """Return the state before the first decision, with what is known from elsewhere in `dataset`.

    Compiled as a whole: one operation after the other takes half a minute.
    """
    none = jnp.zeros(dataset.status.shape[1], dtype=jnp.int32)
    return State(surrogate, surrogate.condition(dataset), dataset, jnp.zeros(()), none, none)


def with_room(policy: Policy, state: State) -> State:
    """Return the state with room for every answer that may come in next; the belief is of that shape too.

    For the host: where room runs out the shapes change, and traced code compiles once more.
    """
    answers = jnp.sum(state.dataset.asked, axis=0) + policy.capacity
    return _moved(state, state.surrogate.with_room([int(count) for count in answers]))


def sized(state: State, answers: Array) -> State:
    """Return the state with room for exactly so many answers at each fidelity; for the host, as `with_room`."""
    return _moved(state, state.surrogate.sized([int(count) for count in answers]))


def _moved(state: State, surrogate: AbstractSurrogate) -> State:
    """Return the state with the same surrogate in another shape."""
    if jax.tree.structure(surrogate) == jax.tree.structure(state.surrogate):
        return state
    grown = eqx.tree_at(lambda s: s.surrogate, state, surrogate)
    return eqx.tree_at(lambda s: s.belief, grown, _condition(surrogate, state.dataset))


def propose(policy: Policy, state: State, key: PRNGKeyArray) -> Proposal:
    """Return the queries that pay now, chosen one after the other, each knowing the ones before it as pending.

    For every candidate the cheapest fidelity that pays is considered; among these the greatest gain per EUR wins. A
    fidelity that answers by the hundred is asked about all candidates for which it pays at once.
    """
    start = _Draft(_blank(policy.batch), state.dataset, _foreseen(policy, state), jnp.asarray(True))
    choose = lambda draft: _choose(policy, state, draft, key)  # noqa: E731
    if policy.batch == 1:
        # Without a loop there is nothing to carry: a single query is chosen in four fifths of the time.
        return choose(start).proposal
    # A draft that is finished stays as it is, so that a batch of campaigns may go on until the last one's is.
    return jax.lax.while_loop(lambda draft: for_any(draft.unfinished), choose, start).proposal


def commit(
    policy: Policy, state: State, candidate: Int[Array, " batch"], fidelity: Int[Array, " batch"], count: Int[Array, ""]
) -> State:
    """Return the state with the first `count` queries pending."""
    use = jnp.arange(candidate.shape[0]) < count
    dataset = expect(state.dataset, candidate, fidelity, policy.noise_variance[fidelity], use)
    return eqx.tree_at(lambda s: s.dataset, state, dataset)


def absorb(policy: Policy, state: State, answers: Answers) -> State:
    """Return the state with the answers recorded, paid for, and learnt from.

    The hyper-parameters of a fidelity are fitted again when its answers have grown by a tenth.
    """
    dataset = record(state.dataset, answers)
    observed = jnp.sum(dataset.observed, axis=0, dtype=jnp.int32)
    fresh = dataset.observed & ~state.dataset.observed
    grown = (observed > state.fitted_at) & (10 * (observed - state.fitted_at) >= state.fitted_at)

    def learn() -> tuple[AbstractSurrogate, AbstractBelief]:
        surrogate = state.surrogate.fit(dataset, grown)
        return surrogate, surrogate.condition(dataset)

    updated = state.surrogate, state.surrogate.extend(state.belief, dataset, fresh)
    surrogate, belief = replaced_if(grown.any(), learn, updated)
    return State(
        surrogate=surrogate,
        belief=belief,
        dataset=dataset,
        spent_eur=state.spent_eur + jnp.sum(jnp.where(answers.valid, answers.price_eur, 0.0)),
        fitted_at=jnp.where(grown, observed, state.fitted_at),
        failures=_count_failures(policy.price_eur, state.failures, answers),
    )


def known_targets(policy: Policy, dataset: Dataset) -> Known:
    """Return the target answers in hand, and the candidates whose measurement failed."""
    measured = dataset.observed[:, policy.target]
    value = jnp.where(measured, dataset.value[:, policy.target], 0.0)
    return Known(measured, value, dataset.status[:, policy.target] == FAILED)


_condition = eqx.filter_jit(lambda surrogate, dataset: surrogate.condition(dataset))


class _Draft(eqx.Module):
    proposal: Proposal
    dataset: Dataset
    narrowing: Narrowing
    unfinished: Bool[Array, ""]


class _Options(eqx.Module):
    ratio: Float[Array, "n L"]
    gain: Float[Array, "n L"]
    room: Int[Array, " L"]
    outcome: Int[Array, ""]


# Free queries compare by gain alone instead of dividing by zero.
_FREE = 1e-9
# A fidelity with more free slots than this is asked in bulk: its answers are not foreseen one by one.
BULK = 32


def _choose(policy: Policy, state: State, draft: _Draft, key: PRNGKeyArray) -> _Draft:
    """Return the draft with the next query, or the next bulk of queries, added."""
    posterior = Posterior(state.belief, draft.narrowing)
    worth = policy.acquisition(posterior, known_targets(policy, draft.dataset), key)
    options = _options(policy, state, draft.dataset, worth)
    best, fidelity = jnp.unravel_index(jnp.argmax(options.ratio), options.ratio.shape)
    found = draft.unfinished & jnp.isfinite(options.ratio[best, fidelity])
    bulk = policy.capacity[fidelity] > BULK
    size = min(policy.batch, options.ratio.shape[0])
    # Sorting a large pool takes longer than the rest: only a bulk needs it.
    several = lambda: tuple(jax.lax.top_k(options.ratio[:, fidelity], size))  # noqa: E731
    one = lambda: (jnp.full(size, options.ratio[best, fidelity]), jnp.full(size, best, jnp.int32))  # noqa: E731
    ratio, candidate = jax.lax.cond(for_any(bulk), several, one)
    rank = jnp.arange(size)
    room = jnp.minimum(jnp.where(bulk, options.room[fidelity], 1), policy.batch - draft.proposal.count)
    use = found & jnp.isfinite(ratio) & (rank < room)
    fidelities = jnp.full(size, fidelity)
    columns = (
        candidate,
        fidelities,
        options.gain[candidate, fidelity],
        worth.probability[candidate],
        posterior.mean[candidate, policy.target],
        jnp.sqrt(posterior.variance[candidate, policy.target]),
    )
    proposal = _written(draft.proposal, columns, use, options.outcome)
    dataset = expect(draft.dataset, candidate, fidelities, policy.noise_variance[fidelities], use)
    # What the last query tells nobody needs to know.
    more = found & ~bulk & (proposal.count < policy.batch)
    foresee = lambda: posterior.expect(best, fidelity, policy.noise_variance[fidelity], more).narrowing  # noqa: E731
    narrowing = jax.lax.cond(for_any(more), foresee, lambda: draft.narrowing)
    return _Draft(proposal, dataset, narrowing, found & (proposal.count < policy.batch))


def _foreseen(policy: Policy, state: State) -> Narrowing:
    """Return what pending answers make of the belief, apart from those that were asked for in bulk."""
    pending = (state.dataset.pending & (policy.capacity <= BULK)).ravel()
    count, fidelities = jnp.minimum(jnp.sum(pending), policy.foreseen), policy.capacity.shape[0]
    none = Posterior.of(state.belief, policy.foreseen).narrowing

    def foresee(index: Array, foreseen: tuple[Narrowing, Array]) -> tuple[Narrowing, Array]:
        narrowing, left = foreseen
        candidate, fidelity = jnp.divmod(jnp.argmax(left), fidelities)
        noise = state.dataset.noise_variance[candidate, fidelity]
        posterior = Posterior(state.belief, narrowing).expect(candidate, fidelity, noise, index < count)
        return posterior.narrowing, left.at[jnp.argmax(left)].set(False)

    # The loop is inside the branch: laying the belief out for it takes as long as a decision.
    every = lambda: jax.lax.fori_loop(0, for_all(count), foresee, (none, pending))[0]  # noqa: E731
    return jax.lax.cond(for_any(count > 0), every, lambda: none)


def _options(policy: Policy, state: State, dataset: Dataset, worth: Worth) -> _Options:
    price_eur, pending, fidelities = policy.expected_prices_eur, dataset.pending, jnp.arange(policy.limit.shape[0])
    further = policy.limit - jnp.sum(dataset.asked, axis=0)
    working = (state.failures < policy.failure_limit) & (further > 0)
    in_flight = jnp.sum(pending, axis=0)
    committed = state.spent_eur + jnp.sum(pending * price_eur if price_eur.ndim == 2 else in_flight * price_eur)
    # Information is worth its price only while the measurement that it is for can still be paid.
    follow_up = jnp.where(fidelities == policy.target, 0.0, price_eur[..., policy.target, None])
    left = policy.budget_eur - committed - follow_up
    waits = waits_for(policy, dataset, working & (price_eur <= left))
    possible = ~dataset.asked & working & working[policy.target]
    price = price_eur + _waiting(policy, pending)
    gain = with_enabling(worth.gain, price if policy.acquisition.in_eur else jnp.zeros_like(price), waits, possible)
    possible = possible & ~waits.any(axis=2)
    paying = possible & (gain > (price if policy.acquisition.in_eur else 0.0))
    affordable = paying & (price_eur <= left)
    cheapest = jnp.argmin(jnp.where(affordable, price, jnp.inf), axis=1)
    open_ = affordable & (fidelities == cheapest[:, None]) & ~pending.any(axis=1, keepdims=True)
    # Screening answers are cheap and soon there: nothing dearer is bought blindly while they are on their way.
    screening = policy.capacity > BULK
    open_ = open_ & (screening | ~jnp.any(pending & screening))
    paid = jnp.clip(jnp.floor(left / jnp.maximum(price_eur, _FREE)), 0, pending.shape[0])
    if paid.ndim == 2:  # the dearest of those that may be asked tells how many are paid for in any case
        paid = jnp.min(jnp.where(open_, paid, pending.shape[0]), axis=0)
    paid = paid.astype(jnp.int32)
    room = jnp.minimum(jnp.minimum(policy.capacity - in_flight, further), paid)
    outcome = jnp.select(
        [pending.any(), paying.any() & ~affordable.any(), possible.any()],
        [Outcome.WAITING, Outcome.BUDGET_SPENT, Outcome.NOTHING_PAYS],
        Outcome.NOTHING_LEFT,
    )
    ratio = gain / jnp.maximum(price, _FREE)
    return _Options(jnp.where(open_ & (room > 0), ratio, -jnp.inf), gain, room.astype(jnp.int32), outcome)


def waits_for(policy: Policy, dataset: Dataset, open_: Bool[Array, " L"] | Bool[Array, "n L"]) -> Bool[Array, "n L L"]:
    """Return, for every candidate, which fidelity (row) still waits for which (column).

    Args:
        policy: rules of the campaign.
        dataset: queries so far.
        open_: fidelities that may still be asked, of all candidates or of each.
    """
    unanswered = ~dataset.observed
    hope = dataset.observed | dataset.pending | (~dataset.asked & open_)
    for _ in range(hope.shape[1]):
        hopeless = jnp.any(policy.requires & ~hope[:, None, :], axis=2)
        hope = hope & ~(hopeless & unanswered)
    # What is required is waited for in any case, what is merely followed only while it may still come.
    return (policy.requires & unanswered[:, None, :]) | (policy.follows & (unanswered & hope)[:, None, :])


def with_enabling(
    gain: Float[Array, "n L"],
    price: Float[Array, " L"] | Float[Array, "n L"],
    waits: Bool[Array, "n L L"],
    possible: Bool[Array, "n L"],
) -> Float[Array, "n L"]:
    """Return gains where a query that another waits for is worth at least what that one brings beyond its price."""

    def inherit(_: Array, enabled: Array) -> Array:
        surplus = jnp.where(possible, enabled - price, 0.0)
        return jnp.maximum(gain, jnp.max(jnp.where(waits, surplus[:, :, None], 0.0), axis=1))

    # A chain of fidelities that wait for each other hands the surplus down link by link.
    return jax.lax.fori_loop(0, gain.shape[1] - 1, inherit, gain)


def _waiting(policy: Policy, pending: Bool[Array, "n L"]) -> Float[Array, " L"]:
    """Return what the wait for an answer costs beyond the wait for those already in flight, in EUR."""
    longest = jnp.max(jnp.where(pending.any(axis=0), policy.latency_hours, 0.0))
    return policy.waiting_eur_per_hour * jnp.maximum(policy.latency_hours - longest, 0.0)


def _count_failures(price_eur: Float[Array, " L"], failures: Int[Array, " L"], answers: Answers) -> Int[Array, " L"]:
    """Count failures in a row; one at no price was refused before anything was spent, and tells nothing of a source."""
    refused = answers.failed & (answers.price_eur == 0.0) & (price_eur[answers.fidelity] > 0.0)

    def step(count: Array, row: tuple[Array, Array, Array]) -> tuple[Array, None]:
        fidelity, failed, valid = row
        updated = count.at[fidelity].set(jnp.where(failed, count[fidelity] + 1, 0))
        return jnp.where(valid, updated, count), None

    return jax.lax.scan(step, failures, (answers.fidelity, answers.failed, answers.valid & ~refused))[0]


def _blank(batch: int) -> Proposal:
    indices, zeros, zero = jnp.zeros(batch, dtype=jnp.int32), jnp.zeros(batch), jnp.zeros((), dtype=jnp.int32)
    return Proposal(indices, indices, zeros, zeros, zeros, zeros, zero, zero)


def _written(proposal: Proposal, columns: tuple[Array, ...], use: Bool[Array, " k"], outcome: Array) -> Proposal:
    row = jnp.where(use, proposal.count + jnp.arange(use.shape[0]), proposal.candidate.shape[0])
    old = (
        proposal.candidate,
        proposal.fidelity,
        proposal.gain,
        proposal.probability,
        proposal.mean,
        proposal.sd,
    )
    new = (was.at[row].set(now.astype(was.dtype), mode="drop") for was, now in zip(old, columns, strict=True))
    candidate, fidelity, gain, probability, mean, sd = new
    count = proposal.count + jnp.sum(use, dtype=jnp.int32)
    outcome = jnp.where(count > 0, Outcome.QUERIES, outcome).astype(jnp.int32)
    return Proposal(candidate, fidelity, gain, probability, mean, sd, count, outcome)
