"""Fields of networks: what holds exactly whatever the weights, and derivatives against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pinn.training.envelope import Bounded, Free, StartsFrom, ZeroAtWalls
from pinn.training.features import BoxFeatures, WaveFeatures
from pinn.training.network import perceptron_field, pirate_field
from pinn.training.residuals import first, laplacian, second

KEY = jax.random.key(0)
POINT = jnp.asarray([0.3, 0.4, 0.7])


def _waves(periodic):
    field, weights = perceptron_field(WaveFeatures(2.0, (1.5, 1.0), 3, periodic), Free(), (8, 8), 2, KEY)
    return lambda point: field(weights, jnp.asarray(point))


def test_wave_features_make_a_periodic_field():
    field = _waves(periodic=True)
    np.testing.assert_allclose(field([0.3, 0.4, 0.7]), field([0.3, 1.9, -0.3]), atol=1e-13)
    assert not np.allclose(field([0.3, 0.4, 0.7]), field([0.3, 0.9, 0.7]))


@pytest.mark.parametrize("axis, wall", [(1, 0.0), (1, 1.5), (2, 0.0), (2, 1.0)])
def test_cosines_leave_no_slope_at_walls(axis, wall):
    field = _waves(periodic=False)
    np.testing.assert_allclose(first(field, POINT.at[axis].set(wall), axis), 0.0, atol=1e-13)
    assert float(jnp.max(jnp.abs(first(field, POINT, axis)))) > 1e-3


def test_a_field_vanishes_at_walls_and_begins_as_told():
    box = BoxFeatures((0.0, -1.0), (1.0, 1.0))
    walls, weights = perceptron_field(box, ZeroAtWalls(jnp.asarray([-1.0]), jnp.asarray([1.0])), (8,), 1, KEY)
    np.testing.assert_array_equal(walls(weights, jnp.asarray([0.5, 1.0])), [0.0])
    begun, weights = perceptron_field(box, StartsFrom(jnp.sin, 1.0), (8,), 1, KEY)
    np.testing.assert_array_equal(begun(weights, jnp.asarray([0.0, 0.3])), np.sin([0.3]))


def test_a_bounded_field_stays_within():
    field, weights = perceptron_field(BoxFeatures((0.0,), (1.0,)), Bounded(-0.1, 1.1), (8,), 1, KEY)
    values = jax.vmap(lambda time: field(100.0 * weights, time[None]))(jnp.linspace(-50.0, 50.0, 101))
    assert values.min() >= -0.1 and values.max() <= 1.1


def test_pirate_blocks_begin_as_the_identity():
    field, weights = pirate_field(WaveFeatures(2.0, (1.5, 1.0), 3, True), Free(), 12, 1, 1, KEY)
    slopes = field.unravel(jax.jit(jax.grad(lambda weights: field(weights, POINT)[0]))(weights))
    sizes = {
        jax.tree_util.keystr(path): float(jnp.max(jnp.abs(leaf))) for path, leaf in jax.tree.leaves_with_path(slopes)
    }
    # Nothing inside a block matters yet, the share that lets it in does.
    assert all(size == 0.0 for name, size in sizes.items() if "layers" in name)
    assert all(size > 1e-3 for name, size in sizes.items() if "share" in name or "embedding" in name)


@pytest.mark.parametrize("build", [perceptron_field, pirate_field])
def test_derivatives_agree_with_finite_differences(build):
    features = WaveFeatures(2.0, (1.5, 1.0), 2, True)
    sizes = ((8, 8),) if build is perceptron_field else (8, 2)
    field, weights = build(features, Free(), *sizes, 1, KEY)
    weights = weights + 0.3 * jax.random.normal(KEY, weights.shape)

    def value(point):
        return field(weights, point)[0]

    step = 1e-4 * jnp.eye(3)
    for axis in range(3):
        ahead, behind = value(POINT + step[axis]), value(POINT - step[axis])
        np.testing.assert_allclose(first(value, POINT, axis), (ahead - behind) / 2e-4, rtol=1e-5, atol=1e-6)
        curvature = (ahead - 2.0 * value(POINT) + behind) / 1e-8
        np.testing.assert_allclose(second(value, POINT, axis), curvature, rtol=1e-4, atol=1e-5)
    spatial = second(value, POINT, 1) + second(value, POINT, 2)
    np.testing.assert_allclose(laplacian(value, POINT), spatial, rtol=1e-12)
