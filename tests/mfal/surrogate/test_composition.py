import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.surrogate.composition import (
    aitchison_distance,
    centred_log_ratio,
    closed,
    from_isometric_log_ratio,
    isometric_log_ratio,
    without_zeros,
)
from mfal.surrogate.kernels import Product, SmoothAndIndividual, Sum

SEEDS = st.integers(0, 2**31)
COMPONENTS = st.integers(2, 6)


def compositions(seed, components, count=5):
    return jnp.asarray(np.random.default_rng(seed).dirichlet(np.full(components, 0.7), count).clip(1e-6))


def close(ours, theirs, tolerance=1e-10):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=0, atol=tolerance)


def test_coordinates_by_hand():
    """Three components, Egozcue 2003: ln(x1 / x2) / sqrt 2 and ln(x1 x2 / x3^2) / sqrt 6."""
    x = np.array([0.5, 0.3, 0.2])
    expected = [np.log(x[0] / x[1]) / np.sqrt(2), np.log(x[0] * x[1] / x[2] ** 2) / np.sqrt(6)]
    close(isometric_log_ratio(jnp.asarray(x)), expected)
    close(centred_log_ratio(jnp.asarray(x)), np.log(x / np.prod(x) ** (1 / 3)))


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, components=COMPONENTS)
def test_coordinates_keep_distances_and_can_be_undone(seed, components):
    x = closed(compositions(seed, components))
    coordinates = isometric_log_ratio(x)
    assert coordinates.shape == (5, components - 1)
    close(np.linalg.norm(coordinates[1:] - coordinates[0], axis=1), aitchison_distance(x[1:], x[0]), 1e-9)
    close(from_isometric_log_ratio(coordinates), x)
    close(jnp.sum(centred_log_ratio(x), axis=-1), 0.0)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, components=COMPONENTS, scale=st.floats(1e-3, 1e3))
def test_distances_do_not_depend_on_order_scale_or_a_common_change(seed, components, scale):
    rng = np.random.default_rng(seed)
    (left, right), order = compositions(seed, components, 2), rng.permutation(components)
    distance = float(aitchison_distance(left, right))
    assert float(aitchison_distance(left[order], right[order])) == pytest.approx(distance, abs=1e-9)
    assert float(aitchison_distance(scale * left, right)) == pytest.approx(distance, abs=1e-9)
    change = jnp.asarray(rng.uniform(0.1, 2.0, components))
    assert float(aitchison_distance(closed(change * left), closed(change * right))) == pytest.approx(distance, abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, components=st.integers(3, 6))
def test_leaving_a_component_out_never_parts_compositions(seed, components):
    left, right = compositions(seed, components, 2)
    whole, part = aitchison_distance(left, right), aitchison_distance(closed(left[:-1]), closed(right[:-1]))
    assert float(part) <= float(whole) + 1e-9


@settings(max_examples=30, deadline=None)
@given(seed=SEEDS, absent=st.integers(0, 3))
def test_replacing_zeros_keeps_the_ratios_of_the_others_and_the_sum(seed, absent):
    x = np.array(closed(compositions(seed, 5, 1)))[0]
    x[:absent] = 0.0
    x = x / x.sum()
    filled = np.asarray(without_zeros(jnp.asarray(x), 1e-3))
    assert filled.sum() == pytest.approx(1.0, abs=1e-12)
    close(filled[:absent], 1e-3, 1e-15)
    close(filled[absent:], x[absent:] * (1 - 1e-3 * absent))
    assert np.isfinite(isometric_log_ratio(jnp.asarray(filled))).all()


def test_a_pure_element_has_coordinates():
    assert np.isfinite(isometric_log_ratio(without_zeros(jnp.eye(4)))).all()


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_kernels_on_coordinates_are_positive_definite_and_symmetric_in_the_components(seed):
    """The centred log-ratio, with one length scale, gives a covariance that no order of the components changes."""
    rng, x = np.random.default_rng(seed), compositions(seed, 4, 10)
    everyone, stored = jnp.arange(10), [jnp.asarray(value) for value in rng.normal(size=2)]
    latent = SmoothAndIndividual(jnp.asarray(rng.normal(size=(10, 2))), jnp.zeros(2), *stored)
    by_order = [
        SmoothAndIndividual(centred_log_ratio(x[:, order]), jnp.zeros(4), *stored)
        for order in (np.arange(4), rng.permutation(4))
    ]
    close(by_order[0].cross(everyone), by_order[1].cross(everyone), 1e-9)
    for kernel in (by_order[0], Sum((by_order[0], latent)), Product((by_order[0], latent))):
        matrix = np.asarray(kernel.cross(everyone))
        assert np.linalg.eigvalsh(matrix).min() > -1e-10 * np.trace(matrix)
