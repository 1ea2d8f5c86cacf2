"""A corrected answer leaves no trace of the first in what is believed."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.campaign import history
from mfal.campaign.build import build_rules
from mfal.campaign.history import Progress
from mfal.dataset import FAILED, OBSERVED, Answers, correct, empty_dataset, expect, record
from mfal.errors import LedgerError
from mfal.ledger.replay import observation_payload
from mfal.oracle import Observation
from tests import synthetic


def answers(value: float, failed: bool = False, valid: bool = True) -> Answers:
    """Return one answer to candidate 1 at fidelity 0."""
    columns = [jnp.asarray([entry]) for entry in (1, 0, value, 0.01, 2.0, failed, valid)]
    return Answers(*columns)


@pytest.fixture(scope="module")
def answered():
    one = jnp.asarray([1])
    asked = expect(empty_dataset(3, 2), one, jnp.asarray([0]), jnp.asarray([0.01]), jnp.asarray([True]))
    return record(asked, answers(0.5))


@pytest.mark.parametrize(("value", "failed", "status"), [(0.7, False, OBSERVED), (0.0, True, FAILED)])
def test_a_correction_replaces_value_and_status(answered, value, failed, status):
    found = correct(answered, answers(value, failed))
    assert int(found.status[1, 0]) == status
    assert float(found.value[1, 0]) == value
    assert int(jnp.sum(found.asked)) == 1


def test_there_and_back_is_the_same_dataset(answered):
    back = correct(correct(answered, answers(0.0, failed=True)), answers(0.5))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), back, answered))


def test_what_was_never_answered_is_not_corrected(answered):
    assert int(jnp.sum(correct(empty_dataset(3, 2), answers(0.7)).asked)) == 0
    untouched = correct(answered, answers(0.7, valid=False))
    assert float(untouched.value[1, 0]) == 0.5


@pytest.fixture(scope="module")
def asked():
    rules = build_rules(synthetic.config())
    progress = Progress(rules.first)
    return rules, history.after_decision(rules, progress, history.decide(rules, progress))


def payload(observation: Observation) -> dict:
    return {**observation_payload(observation), "hours": 1.0}


def screened(asked, **first: float) -> Progress:
    """Return the progress with all cheap answers, the first of them replaced."""
    rules, progress = asked
    truth, candidates = synthetic.truth()[:, 0], [flight.query.candidate for flight in progress.flights]
    values = {name: float(truth[rules.pool.index(name)]) for name in candidates}
    found = [Observation(name, "low", values[name], None, 0.001) for name in candidates]
    found[0] = replace(found[0], **first)
    return history.after_observations(rules, progress, [payload(one) for one in found])


def test_after_a_correction_the_belief_is_that_of_the_right_answer(asked):
    rules, _ = asked
    right = screened(asked)
    wrong = screened(asked, value=right.observations[0].value + 0.8, price_eur=0.5)
    mended = history.after_correction(rules, wrong, payload(right.observations[0]))
    assert mended.observations == right.observations
    assert float(mended.state.spent_eur) == pytest.approx(float(right.state.spent_eur), abs=1e-12)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), mended.state.dataset, right.state.dataset))
    # The hyper-parameters were fitted again, from another start: equal as far as the fit converges.
    spread = np.asarray(right.state.belief.mean).std()
    apart = np.abs(np.asarray(mended.state.belief.mean - right.state.belief.mean)).max()
    before = np.abs(np.asarray(wrong.state.belief.mean - right.state.belief.mean)).max()
    assert apart < 1e-3 * spread < before


def test_failures_in_a_row_are_counted_again(asked):
    rules, progress = asked
    keys = [flight.query for flight in progress.flights[:4]]
    failed = [Observation(q.candidate, "low", None, None, 0.001, "broke") for q in keys]
    stuck = history.after_observations(rules, progress, [payload(one) for one in failed])
    assert stuck.state.failures.tolist() == [4, 0, 0]
    mended = history.after_correction(rules, stuck, payload(replace(failed[1], value=0.1, failure=None)))
    assert mended.state.failures.tolist() == [2, 0, 0]


def test_a_correction_needs_an_answer_to_correct(asked):
    rules, progress = asked
    with pytest.raises(LedgerError, match="was corrected before it was answered"):
        history.after_correction(rules, progress, payload(Observation("c01", "low", 0.1, None, 0.001)))
