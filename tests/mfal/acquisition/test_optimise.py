"""Designs on the bounded simplex: validity of every outcome, gradients, and dense grids as the rival."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.acquisition.improvement import expected_improvement
from mfal.acquisition.optimise import Compositions, maximise

BOUNDS = [
    ([0.0] * 3, [1.0] * 3),
    ([0.05] * 5, [0.35] * 5),
    ([0.2, 0.0, 0.1], [1.0, 1.0, 1.0]),
    ([0.0, 0.3, 0.0, 0.1], [0.5, 0.3, 0.9, 0.2]),
    ([0.0] * 12, [0.1] * 12),
]


def grid(steps=140):
    """Return all ternaries at that spacing, 10011 points."""
    counts = np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)])
    return counts / steps


def kernel(a, b, lengthscale=0.25):
    return jnp.exp(-0.5 * jnp.sum((a - b) ** 2, axis=-1) / lengthscale**2)


def surface(seed):
    """Return a GP-like surface, a posterior mean over 30 compositions, and its data."""
    rng = np.random.default_rng(seed)
    return lambda x, centres, weights: weights @ kernel(x, centres), (
        rng.dirichlet(np.ones(3), 30),
        rng.normal(size=30),
    )


def improvement_surface(seed):
    """Return the expected improvement of a GP conditioned on 8 compositions: flat regions and many modes."""
    rng = np.random.default_rng(seed)

    def value(x, seen, answers):
        inverse = jnp.linalg.inv(kernel(seen[:, None], seen) + 1e-3 * jnp.eye(8))
        cross = kernel(x, seen)
        sd = jnp.sqrt(jnp.maximum(1.0 - cross @ inverse @ cross, 1e-9))
        return expected_improvement((cross @ inverse @ answers - answers.max())[None], sd[None])[0]

    return value, (rng.dirichlet(np.ones(3), 8), rng.normal(size=8))


def compare(kind, points, box, seeds=20):
    """Return compositions, their values and the best values on the grid for many surfaces, side by side."""
    value = kind(0)[0]
    data = jax.tree.map(lambda *parts: jnp.stack(parts), *[kind(seed)[1] for seed in range(seeds)])

    @jax.jit
    def both(key, a, b):
        on_grid = jax.lax.map(lambda x: value(x, a, b), points, batch_size=4096)
        return *maximise(lambda x: value(x, a, b), box, key), jnp.max(on_grid)

    return jax.tree.map(np.asarray, jax.vmap(both)(jax.random.split(jax.random.key(0), seeds), *data))


def assert_found_no_worse(found, best):
    # A grid can hit a corner exactly, which the ascent approaches until it gains less than 1e-9.
    assert (found >= best - 1e-8 * (1.0 + np.abs(best))).all(), found - best
    assert (found > best).mean() >= 0.5


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


@pytest.mark.parametrize("kind", [surface, improvement_surface])
def test_beats_a_dense_grid(kind):
    points = grid()
    assert points.shape[0] >= 5000
    x, found, best = compare(kind, jnp.asarray(points), Compositions.between([0.0] * 3, [1.0] * 3))
    assert_found_no_worse(found, best)
    assert np.abs(x.sum(axis=1) - 1.0).max() < 1e-15 and (x >= 0.0).all()


def test_beats_a_dense_grid_between_bounds():
    lower, upper = np.array([0.1, 0.05, 0.2]), np.array([0.5, 0.6, 0.7])
    points = grid(280)
    inside = ((points >= lower - 1e-12) & (points <= upper + 1e-12)).all(axis=1)
    assert inside.sum() >= 5000
    x, found, best = compare(surface, jnp.asarray(points[inside]), Compositions.between(lower, upper))
    assert_found_no_worse(found, best)
    assert (x >= lower).all() and (x <= upper).all()


def test_finds_a_known_interior_maximum():
    goal = jnp.array([0.17, 0.33, 0.5])
    box = Compositions.between([0.0] * 3, [1.0] * 3)
    x, _ = maximise(lambda x: -jnp.sum((x - goal) ** 2), box, jax.random.key(0))
    np.testing.assert_allclose(x, goal, atol=1e-4)


@pytest.mark.parametrize(
    ("lower", "upper"),
    [([0.5, 0.6], [1.0, 1.0]), ([0.0, 0.0], [0.4, 0.4]), ([0.5, 0.0], [0.4, 1.0]), ([-0.1, 0.0], [1.0, 1.0])],
)
def test_bounds_without_room_are_refused(lower, upper):
    with pytest.raises(ValueError, match="lower="):
        Compositions.between(lower, upper)
