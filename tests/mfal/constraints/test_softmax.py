"""Free parameters for compositions between bounds: validity of every outcome, gradients, and reach."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.constraints.softmax import Compositions
from mfal.errors import ConstraintError

BOUNDS = [
    ([0.0] * 3, [1.0] * 3),
    ([0.05] * 5, [0.35] * 5),
    ([0.2, 0.0, 0.1], [1.0, 1.0, 1.0]),
    ([0.0, 0.3, 0.0, 0.1], [0.5, 0.3, 0.9, 0.2]),
    ([0.0] * 12, [0.1] * 12),
]


@pytest.mark.parametrize(("lower", "upper"), BOUNDS)
def test_every_outcome_is_a_composition(lower, upper):
    """10^5 random outcomes each, mild and extreme, none invalid."""
    box = Compositions.between(lower, upper)
    rng = np.random.default_rng(0)
    free = rng.normal(size=(100_000, len(lower))) * rng.choice([0.1, 1.0, 10.0, 1e3], (100_000, 1))
    x = np.asarray(jax.jit(jax.vmap(box.composition))(jnp.asarray(free)))
    assert np.isfinite(x).all()
    assert (x >= np.asarray(lower)).all() and (x <= np.asarray(upper)).all()
    assert np.abs(x.sum(axis=1) - 1.0).max() <= 4.5e-16 * len(lower)


def test_without_upper_bounds_the_corners_are_reached():
    box = Compositions.between([0.1, 0.0, 0.0], [1.0] * 3)
    corner = box.composition(jnp.array([30.0, -30.0, -30.0]))
    np.testing.assert_allclose(corner, [1.0, 0.0, 0.0], atol=1e-12)
    other = box.composition(jnp.array([-30.0, 30.0, -30.0]))
    np.testing.assert_allclose(other, [0.1, 0.9, 0.0], atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(range(len(BOUNDS))))
def test_gradients_agree_with_finite_differences(seed, which):
    box = Compositions.between(*BOUNDS[which])
    rng = np.random.default_rng(seed)
    size = box.lower.shape[0]
    free, weights = jnp.asarray(rng.normal(size=size)), jnp.asarray(rng.normal(size=size))
    steps = 1e-5 * jnp.eye(size)
    value = jax.vmap(_wavy, in_axes=(0, None, None))
    finite = (value(free + steps, weights, box) - value(free - steps, weights, box)) / 2e-5
    np.testing.assert_allclose(_SLOPE(free, weights, box), finite, atol=1e-8)


@jax.jit
def _wavy(free, weights, box):
    return jnp.sum(weights * jnp.sin(3.0 * box.composition(free)))


_SLOPE = jax.jit(jax.grad(_wavy))


def test_any_inside_composition_is_reached():
    box = Compositions.between([0.05, 0.1, 0.0], [0.6, 0.5, 0.8])
    for goal in ([0.5, 0.2, 0.3], [0.06, 0.49, 0.45], [0.1, 0.11, 0.79]):
        goal = np.array(goal)
        width = np.asarray(box.upper) - np.asarray(box.lower)
        share = (goal - np.asarray(box.lower)) / width
        found = box.composition(jnp.asarray(np.log(share / (1.0 - share))))
        np.testing.assert_allclose(found, goal, atol=1e-14)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [([0.5, 0.6], [1.0, 1.0]), ([0.0, 0.0], [0.4, 0.4]), ([0.5, 0.0], [0.4, 1.0]), ([-0.1, 0.0], [1.0, 1.0])],
)
def test_bounds_without_room_are_refused(lower, upper):
    with pytest.raises(ConstraintError, match="lower="):
        Compositions.between(lower, upper)
