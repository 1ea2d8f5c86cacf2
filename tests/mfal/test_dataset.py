"""Tables of answers: what is written where, pooling of repeats, and what is refused."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.dataset import EMPTY, FAILED, OBSERVED, PENDING, Answers, empty_dataset, expect, from_rows, record
from mfal.errors import DatasetError


def answers(rows):
    """Build answers from (candidate, fidelity, value or None, valid)."""
    candidate, fidelity, value, valid = zip(*rows, strict=True)
    size = len(rows)
    return Answers(
        jnp.array(candidate, dtype=jnp.int32), jnp.array(fidelity, dtype=jnp.int32),
        jnp.array([v or 0.0 for v in value], dtype=jnp.float64), jnp.full(size, 0.01), jnp.ones(size),
        jnp.array([v is None for v in value]), jnp.array(valid),
    )  # fmt: skip


def pending(*pairs):
    candidate, fidelity = (jnp.array(column, dtype=jnp.int32) for column in zip(*pairs, strict=True))
    use = jnp.ones(len(pairs), dtype=bool)
    return expect(empty_dataset(4, 2), candidate, fidelity, jnp.full(len(pairs), 0.04), use)


def test_a_query_is_pending_and_then_observed_or_failed():
    before = pending((0, 1), (2, 0), (3, 1))
    assert np.asarray(before.status).tolist() == [[EMPTY, PENDING], [EMPTY] * 2, [PENDING, EMPTY], [EMPTY, PENDING]]
    after = record(before, answers([(0, 1, 1.5, True), (2, 0, None, True), (3, 1, 9.0, False)]))
    assert np.asarray(after.status).tolist() == [[EMPTY, OBSERVED], [EMPTY] * 2, [FAILED, EMPTY], [EMPTY, PENDING]]
    assert np.asarray(after.value).tolist() == [[0.0, 1.5], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]
    np.testing.assert_allclose(after.noise_variance[[0, 3], 1], [0.01, 0.04])
    assert np.asarray(after.asked).tolist() == [[False, True], [False] * 2, [True, False], [False, True]]


@pytest.mark.parametrize("row", [(1, 0, 2.0, True), (0, 0, 2.0, True), (1, 1, None, True)])
def test_an_answer_nobody_waits_for_changes_nothing(row):
    before = pending((0, 1))
    after = record(before, answers([row]))
    for was, now in zip((before.status, before.value, before.noise_variance),
                        (after.status, after.value, after.noise_variance), strict=True):  # fmt: skip
        np.testing.assert_array_equal(was, now)


def test_an_observed_value_is_not_overwritten():
    once = record(pending((0, 1)), answers([(0, 1, 1.5, True)]))
    again = record(once, answers([(0, 1, 7.0, True)]))
    assert float(again.value[0, 1]) == 1.5


def pooled(value, variance):
    rows = len(value)
    table = from_rows(np.zeros(rows, int), np.ones(rows, int), np.array(value), np.array(variance), 2, 2)
    return float(table.value[0, 1]), float(table.noise_variance[0, 1])


def test_repeats_that_agree_are_averaged_by_their_variances():
    mean, variance = pooled([1.0, 1.1], [0.04, 0.01])
    assert mean == pytest.approx((1.0 / 0.04 + 1.1 / 0.01) / 125.0)
    assert variance == pytest.approx(1.0 / 125.0)


def test_repeats_that_contradict_each_other_are_trusted_as_far_as_they_scatter():
    """Three answers of 0, 1 and 2 that each claim 0.001: the mean's variance is that of the scatter, 1/3."""
    mean, variance = pooled([0.0, 1.0, 2.0], [1e-6] * 3)
    assert (mean, variance) == (pytest.approx(1.0), pytest.approx(1.0 / 3.0))


def test_exact_repeats_stay_exact_and_contradictory_exact_ones_do_not():
    assert pooled([2.0, 2.0], [0.0, 0.0]) == (pytest.approx(2.0), 0.0)
    mean, variance = pooled([1.0, 3.0], [0.0, 0.0])
    assert (mean, variance) == (pytest.approx(2.0), pytest.approx(1.0))


@settings(max_examples=50, deadline=None)
@given(
    value=st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=6),
    variance=st.lists(st.sampled_from([0.0, 1e-12, 0.1, 10.0]), min_size=6, max_size=6),
)
def test_a_pooled_answer_lies_among_its_repeats_and_is_finite(value, variance):
    mean, spread = pooled(value, variance[: len(value)])
    slack = 1e-9 * (1.0 + max(map(abs, value)))
    assert min(value) - slack <= mean <= max(value) + slack
    assert 0.0 <= spread < np.inf


@pytest.mark.parametrize(
    "change, said",
    [
        ({"value": np.nan}, "row 1: value = nan cannot be used; record it as a failed query or drop the row"),
        ({"value": np.inf}, "row 1: value = inf"),
        ({"noise_variance": -1.0}, "row 1: noise_variance = -1.0"),
        ({"noise_variance": np.nan}, "row 1: noise_variance = nan"),
        ({"candidate": 4}, "row 1: candidate = 4 cannot be used; use 0 to 3"),
        ({"candidate": -1}, "row 1: candidate = -1"),
        ({"fidelity": 2}, "row 1: fidelity = 2 cannot be used; use 0 to 1"),
    ],
)
def test_rows_that_are_no_data_are_refused_by_name(change, said):
    which, zeros = np.array([0, 1]), np.zeros(2)
    columns = {"candidate": which, "fidelity": which, "value": zeros, "noise_variance": zeros}
    for name, entry in change.items():
        columns[name] = np.array([columns[name][0], entry])
    with pytest.raises(DatasetError, match=said.replace("(", r"\(")):
        from_rows(**columns, candidates=4, fidelities=2)


def test_one_datum_and_none_at_all_are_tables_too():
    assert not from_rows(*(np.zeros(0, int),) * 2, np.zeros(0), np.zeros(0), 3, 1).asked.any()
    assert int(from_rows(np.array([2]), np.array([0]), np.array([1.0]), np.array([0.0]), 3, 1).observed.sum()) == 1
