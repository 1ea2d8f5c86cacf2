"""The pure policy: what a proposal may hold, when it stops, and that it compiles once."""

import dataclasses
from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfal.campaign import history, policy
from mfal.campaign.build import build_rules
from mfal.campaign.loop import Campaign
from mfal.campaign.policy import Outcome
from mfal.dataset import EMPTY, FAILED, OBSERVED, PENDING, Answers, Dataset
from tests import synthetic

LOW, MIDDLE, HIGH = 0, 1, 2
N, L = synthetic.SIZE, 3
TRUTH = synthetic.truth()
_propose = eqx.filter_jit(policy.propose)


@cache
def rules():
    built = build_rules(synthetic.config())
    return built.policy, built.first


def change(**fields):
    """Return the synthetic policy with arrays replaced: same shapes, so nothing compiles again."""
    chosen, _ = rules()
    values = {k: jnp.asarray(v, dtype=getattr(chosen, k).dtype) for k, v in fields.items() if k != "value_of_hit_eur"}
    chosen = dataclasses.replace(chosen, **values)
    if "value_of_hit_eur" in fields:
        value = jnp.asarray(float(fields["value_of_hit_eur"]))
        chosen = eqx.tree_at(lambda p: p.acquisition.value_of_hit_eur, chosen, value)
    return eqx.tree_at(lambda p: p.acquisition.price_eur, chosen, chosen.price_eur[HIGH])


_condition = eqx.filter_jit(lambda surrogate, dataset: surrogate.condition(dataset))


def state(rows=(), spent=0.0, failures=(0, 0, 0), surrogate=None):
    """Build a state from rows of (candidate, fidelity, status); observed values are the truth."""
    _, first = rules()
    status, value, noise = np.zeros((N, L), np.int8), np.zeros((N, L)), np.zeros((N, L))
    for candidate, fidelity, what in rows:
        status[candidate, fidelity] = what
        value[candidate, fidelity] = TRUTH[candidate, fidelity] if what == OBSERVED else 0.0
        noise[candidate, fidelity] = float(rules()[0].noise_variance[fidelity])
    dataset = Dataset(*map(jnp.asarray, (status, value, noise)))
    surrogate = surrogate or first.surrogate
    return policy.State(
        surrogate, _condition(surrogate, dataset), dataset, jnp.asarray(float(spent)), first.fitted_at,
        jnp.asarray(failures, dtype=jnp.int32),
    )  # fmt: skip


def propose(chosen, now, seed=0):
    return jax.tree.map(np.asarray, _propose(chosen, now, jax.random.key(seed)))


def queries(proposal):
    count = int(proposal.count)
    return list(zip(proposal.candidate[:count].tolist(), proposal.fidelity[:count].tolist(), strict=True))


SCREENED = [(i, LOW, OBSERVED) for i in range(N)]


def some_rows(seed):
    """A state a campaign might be in: prerequisites answered, at most one query pending on a candidate."""
    rng, rows = np.random.default_rng(seed), []
    for i in rng.permutation(N):
        for fidelity in range(L):
            status = rng.choice([EMPTY, PENDING, OBSERVED, FAILED], p=[0.25, 0.1, 0.6, 0.05])
            if status == EMPTY:
                break
            rows.append((int(i), fidelity, int(status)))
            if status != OBSERVED:
                break
    return rows


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 10_000),
    capacity=st.tuples(st.integers(1, 24), st.integers(1, 4), st.integers(1, 3)),
    price=st.tuples(
        st.sampled_from([0.0, 0.001, 5.0]), st.sampled_from([0.0, 1.0, 40.0]), st.sampled_from([150.0, 300.0])
    ),
    budget=st.floats(300.0, 4000.0),
    failures=st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)),
)
def test_a_proposal_keeps_every_rule(seed, capacity, price, budget, failures):
    rows, chosen = some_rows(seed), change(capacity=capacity, price_eur=price, budget_eur=budget)
    spent = sum(price[f] for _, f, status in rows if status in (OBSERVED, FAILED))
    proposal = propose(chosen, state(rows, spent, failures), seed)
    asked = queries(proposal)
    before = {(i, f): status for i, f, status in rows}
    committed = sum(price[f] for _, f, status in rows if status == PENDING)
    assert len(set(asked)) == len(asked) <= chosen.batch
    assert not set(asked) & set(before), "a query is asked once"
    for fidelity in range(L):
        flying = sum(f == fidelity for _, f, status in rows if status == PENDING)
        new = sum(f == fidelity for _, f in asked)
        assert new == 0 or flying + new <= capacity[fidelity]
        assert new == 0 or max(failures[fidelity], failures[HIGH]) < chosen.failure_limit
    pending = [i for i, _, status in rows if status == PENDING] + [i for i, _ in asked]
    assert not {i for i, _ in asked if pending.count(i) > 1}, "one query at a time on a candidate"
    assert all(before.get((i, LOW)) == OBSERVED for i, f in asked if f == MIDDLE), "requires"
    if asked:
        assert spent + committed + sum(price[f] for _, f in asked) <= budget + 1e-9
        assert Outcome(int(proposal.outcome)) == Outcome.QUERIES
    else:
        waiting = any(status == PENDING for *_, status in rows)
        assert (Outcome(int(proposal.outcome)) == Outcome.WAITING) == waiting
    for k, (_, fidelity) in enumerate(asked):
        assert proposal.gain[k] > price[fidelity], "a query pays"
    assert np.isfinite(proposal.gain).all()


def test_a_batch_is_a_sequence_of_single_decisions():
    chosen, now = change(capacity=(24, 4, 3)), state(SCREENED)
    whole = queries(propose(chosen, now))
    assert len(whole) >= 4
    for done in {1, len(whole) // 2, len(whole) - 1}:
        pending = [(i, f, PENDING) for i, f in whole[:done]]
        assert queries(propose(chosen, state(SCREENED + pending))) == whole[done:]


def test_commit_makes_pending_what_was_proposed_with_the_noise_it_will_have():
    chosen, now = change(noise_variance=(0.0, 0.25, 0.01)), state(SCREENED)
    proposal = propose(chosen, now)
    after = policy.commit(chosen, now, *map(jnp.asarray, (proposal.candidate, proposal.fidelity, proposal.count)))
    asked = np.argwhere(np.asarray(after.dataset.pending))
    assert {tuple(pair) for pair in asked} == set(queries(proposal))
    for candidate, fidelity in asked:
        assert after.dataset.noise_variance[candidate, fidelity] == chosen.noise_variance[fidelity]
    kept = ~np.asarray(after.dataset.pending)
    np.testing.assert_array_equal(np.asarray(after.dataset.status)[kept], np.asarray(now.dataset.status)[kept])


def test_screening_comes_first_and_covers_the_pool():
    asked = queries(propose(change(), state()))
    assert sum(f == LOW for _, f in asked) == N


@pytest.mark.parametrize(
    "rows, spent, fields, outcome",
    [
        (SCREENED, 0.0, {"value_of_hit_eur": 1.0}, Outcome.NOTHING_PAYS),
        (SCREENED, 3990.0, {}, Outcome.BUDGET_SPENT),
        ([(i, f, OBSERVED) for i in range(N) for f in range(L)], 0.0, {}, Outcome.NOTHING_LEFT),
        ([*SCREENED, (0, HIGH, PENDING)], 3700.0, {}, Outcome.WAITING),
    ],
)
def test_an_empty_proposal_says_why(rows, spent, fields, outcome):
    proposal = propose(change(**fields), state(rows, spent))
    assert (int(proposal.count), Outcome(int(proposal.outcome))) == (0, outcome)


def test_information_is_not_bought_when_its_measurement_cannot_be_paid():
    rich, poor = propose(change(), state(SCREENED, 3000.0)), propose(change(), state(SCREENED, 3701.0))
    assert any(f == MIDDLE for _, f in queries(rich))
    assert queries(poor) == []


def test_the_last_measurement_is_bought_when_only_the_information_is_out_of_reach():
    """Budget for one measurement but not for information as well: it is measured, not given up."""
    for spent in (3699.5, 3700.0):
        assert [f for _, f in queries(propose(change(), state(SCREENED, spent)))] == [HIGH]


@pytest.mark.parametrize("fidelity, left", [(LOW, {MIDDLE, HIGH}), (MIDDLE, {LOW, HIGH}), (HIGH, set())])
def test_a_fidelity_that_keeps_failing_is_not_asked_again(fidelity, left):
    failures, freely = np.eye(L, dtype=int)[fidelity] * 3, change(follows=np.zeros((L, L), bool))
    # Half the pool knows all that lies below, so that each fidelity has something to tell.
    rows = [(i, f, OBSERVED) for i in range(12) for f in range(max(fidelity, 1))]
    asked = {f for _, f in queries(propose(freely, state(rows, 0.0, failures)))}
    assert asked <= left
    assert bool(asked) == bool(left)
    forgiven = state(rows, 0.0, failures - (failures > 0))
    assert fidelity in {f for _, f in queries(propose(freely, forgiven))}


def test_failures_in_a_row_are_counted_and_forgiven():
    chosen, now = change(), state([(i, MIDDLE, PENDING) for i in range(4)])

    def answers(failed):
        size = len(failed)
        full = jnp.full(size, MIDDLE, dtype=jnp.int32)
        return Answers(jnp.arange(size, dtype=jnp.int32), full, jnp.zeros(size), jnp.zeros(size), jnp.ones(size),
                       jnp.array(failed), jnp.ones(size, dtype=bool))  # fmt: skip

    assert policy._count_failures(chosen.price_eur, now.failures, answers([True, True])).tolist() == [0, 2, 0]
    assert policy._count_failures(chosen.price_eur, now.failures, answers([True, False, True])).tolist() == [0, 1, 0]
    after = policy.absorb(chosen, now, answers([True, True, True]))
    assert after.dataset.status[:4, MIDDLE].tolist() == [FAILED] * 3 + [PENDING]
    assert (after.failures.tolist(), float(after.spent_eur)) == ([0, 3, 0], 3.0)


def test_a_source_known_to_be_useless_is_not_asked():
    """The target does not depend on the middle fidelity (slope 0), which costs real money."""
    _, first = rules()
    slopes = lambda s: (s.prior.slope_mean, s.prior.slope_sd)  # noqa: E731
    cut = [part.at[HIGH, MIDDLE].set(0.0) for part in slopes(first.surrogate)]
    deaf = eqx.tree_at(slopes, first.surrogate, cut)
    chosen = change(price_eur=(0.001, 5.0, 300.0), follows=np.zeros((L, L), bool))
    assert MIDDLE not in {f for _, f in queries(propose(chosen, state(SCREENED, surrogate=deaf)))}
    assert MIDDLE in {f for _, f in queries(propose(chosen, state(SCREENED)))}


def test_the_digest_is_of_all_that_a_decision_rests_on_but_the_belief_that_follows_from_it():
    now = state(SCREENED)
    other = eqx.tree_at(lambda s: s.belief, now, state().belief)
    assert history.digest(other) == history.digest(now)
    value = now.dataset.value.at[3, LOW].add(1e-15)
    changes = [
        eqx.tree_at(lambda s: s.dataset.value, now, value),
        eqx.tree_at(lambda s: s.spent_eur, now, now.spent_eur + 1.0),
        eqx.tree_at(lambda s: s.fitted_at, now, now.fitted_at + 1),
        eqx.tree_at(lambda s: s.failures, now, now.failures + 1),
        eqx.tree_at(lambda s: s.surrogate.parameters.log_amplitude, now, now.surrogate.parameters.log_amplitude + 1.0),
    ]
    assert len({history.digest(changed) for changed in [now, *changes]}) == 1 + len(changes)


def counted(function, calls):
    def traced(*arguments):
        calls[function.__name__] = calls.get(function.__name__, 0) + 1
        return function(*arguments)

    return eqx.filter_jit(traced)


def test_everything_compiles_once_while_the_data_grow(tmp_path, monkeypatch):
    calls = {}
    for name in ("propose", "commit", "absorb"):
        monkeypatch.setattr(history, f"_{name}", counted(getattr(policy, name), calls))
    campaign = Campaign.start(synthetic.config(), tmp_path)
    progress = campaign.run(lambda _: None)
    campaign.close()
    assert progress.decisions > 3
    assert calls == {"propose": 1, "commit": 1, "absorb": 1}
