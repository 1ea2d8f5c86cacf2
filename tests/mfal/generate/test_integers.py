from itertools import product

import numpy as np
import pytest

from mfal.errors import GenerationError
from mfal.generate.integers import apportioned, nearest_counts, nearest_in_ratio


def _by_brute_force(goal, atoms, keeps):
    every = [np.array(c) for c in product(range(atoms + 1), repeat=len(goal)) if 1 <= sum(c) <= atoms and keeps(c)]
    return min(np.linalg.norm(c / c.sum() - goal) for c in every)


@pytest.mark.parametrize("ratio", [False, True])
def test_the_nearest_formula_is_that_of_brute_force(ratio):
    goals = np.random.default_rng(0).dirichlet(np.ones(4), size=60)
    keeps = lambda c: not ratio or 2 * (c[0] + c[2]) == c[1] + c[3]  # noqa: E731
    if ratio:
        groups = goals[:, [0, 2]], goals[:, [1, 3]]
        goals[:, [0, 2]] = groups[0] / groups[0].sum(axis=1, keepdims=True) / 3.0
        goals[:, [1, 3]] = groups[1] / groups[1].sum(axis=1, keepdims=True) * 2.0 / 3.0
    found = nearest_in_ratio(goals, [[0, 2], [1, 3]], (1, 2), 9) if ratio else nearest_counts(goals, 9)
    assert all(keeps(row) and 1 <= row.sum() <= 9 for row in found)
    distances = np.linalg.norm(found / found.sum(axis=1, keepdims=True) - goals, axis=1)
    np.testing.assert_allclose(distances, [_by_brute_force(goal, 9, keeps) for goal in goals], atol=1e-12)


def test_a_formula_comes_back_as_its_smallest_self():
    rows = np.array([[2, 4, 0], [1, 0, 0], [3, 3, 6], [5, 7, 1]])
    np.testing.assert_array_equal(
        nearest_counts(rows / rows.sum(axis=1, keepdims=True), 24), [[1, 2, 0], [1, 0, 0], [1, 1, 2], [5, 7, 1]]
    )


def test_seats_are_shared_out_by_largest_remainder():
    np.testing.assert_array_equal(
        apportioned(np.array([[0.47, 0.16, 0.158, 0.12, 0.061, 0.031]]), 10), [[5, 2, 1, 1, 1, 0]]
    )
    np.testing.assert_array_equal(apportioned(np.zeros((1, 2)), 3).sum(axis=1), [3])


@pytest.mark.parametrize("fractions", [[[np.nan, 1.0]], [[-0.1, 1.1]], [[0.0, 0.0]]])
def test_what_is_no_composition_is_refused(fractions):
    with pytest.raises(GenerationError, match="simplex"):
        nearest_counts(np.array(fractions), 5)


def test_a_ratio_needs_atoms():
    with pytest.raises(GenerationError, match="allow 3"):
        nearest_in_ratio(np.array([[0.5, 0.5]]), [[0], [1]], (1, 2), 2)
