"""The upper envelope against sampling, against an integral, and in ties."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from beliefs import assert_mean_is
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mfal.acquisition.envelope import expected_rise

_RISE = jax.jit(expected_rise)


def rise(level, slope):
    return float(_RISE(jnp.asarray(level, float), jnp.asarray(slope, float)))


def by_pieces(level, slope):
    """Sum over the stretches on which each line is the highest, found by comparing all pairs: m^2, no stack."""
    level, slope = np.asarray(level, float), np.asarray(slope, float)
    keep = [
        j
        for j in range(level.size)
        if not any(
            slope[k] == slope[j] and (level[k] > level[j] or (level[k] == level[j] and k < j))
            for k in range(level.size)
        )
    ]
    level, slope = level[keep], slope[keep]
    total = -level.max()
    for j in range(level.size):
        steeper, flatter = slope > slope[j], slope < slope[j]
        start = max((level[flatter] - level[j]) / (slope[j] - slope[flatter]), default=-np.inf)
        end = min((level[j] - level[steeper]) / (slope[steeper] - slope[j]), default=np.inf)
        if start < end:
            total += level[j] * (norm.cdf(end) - norm.cdf(start)) + slope[j] * (norm.pdf(start) - norm.pdf(end))
    return total


def test_two_lines_by_hand():
    np.testing.assert_allclose(rise([0.0, 0.0], [0.0, 1.0]), norm.pdf(0.0), rtol=1e-12)
    np.testing.assert_allclose(rise([0.0, -1.0], [0.0, 1.0]), norm.pdf(1.0) - norm.cdf(-1.0), rtol=1e-12)
    np.testing.assert_allclose(rise([0.0, 0.0], [-1.0, 1.0]), 2.0 * norm.pdf(0.0), rtol=1e-12)
    assert rise([3.0], [2.0]) == 0.0


def test_parallel_equal_and_hidden_lines_change_nothing():
    plain = rise([0.0, 0.2], [0.0, 1.0])
    np.testing.assert_allclose(
        rise([0.0, 0.2, 0.0, 0.2, -1.0, -1.0], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0]), plain, rtol=1e-12
    )
    # Three lines through one point: the middle one is never alone the highest.
    np.testing.assert_allclose(rise([0.0, 0.2, 0.1], [0.0, 1.0, 0.5]), plain, rtol=1e-12)
    assert rise([0.0, 1.0, 2.0], [0.5, 0.5, 0.5]) == 0.0
    assert rise(np.zeros(5), np.zeros(5)) == 0.0


def test_a_rise_far_in_the_tail_keeps_its_digits():
    far = norm.pdf(9.0) * (1.0 / 81.0 - 3.0 / 9.0**4 + 15.0 / 9.0**6 - 105.0 / 9.0**8)
    np.testing.assert_allclose(rise([0.0, -9.0], [0.0, 1.0]), far, rtol=2e-3)
    assert np.isfinite(rise([0.0, -1e300], [0.0, 1e-300])) and rise([0.0, -1e300], [0.0, 1e-300]) == 0.0


@pytest.mark.parametrize("size", [2, 5, 40])
def test_sampled_maxima(size):
    rng = np.random.default_rng(size)
    level, slope = rng.normal(size=size), rng.normal(size=size)
    normals = np.random.default_rng(1).normal(size=(100_000, 1))
    assert_mean_is((level + slope * normals).max(axis=1) - level.max(), rise(level, slope))


# Coarse values bring ties, parallel lines and lines through one point.
_LINES = st.lists(st.tuples(st.integers(-4, 4), st.integers(-3, 3)), min_size=6, max_size=6)


@settings(max_examples=200, deadline=None)
@given(_LINES)
def test_ties_against_all_pairs(lines):
    level, slope = np.array(lines, float).T
    np.testing.assert_allclose(rise(level, slope), by_pieces(level, slope), atol=1e-12)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000))
def test_random_lines_against_all_pairs(seed):
    rng = np.random.default_rng(seed)
    level, slope = rng.normal(size=60), rng.normal(size=60) * rng.choice([1e-3, 1.0, 30.0], 60)
    np.testing.assert_allclose(rise(level, slope), by_pieces(level, slope), rtol=1e-9, atol=1e-12)


def test_side_by_side():
    rng = np.random.default_rng(3)
    level, slope = rng.normal(size=(2, 50, 20))
    together = jax.jit(jax.vmap(expected_rise))(jnp.asarray(level), jnp.asarray(slope))
    np.testing.assert_allclose(together, [rise(a, b) for a, b in zip(level, slope, strict=True)], rtol=1e-12)
