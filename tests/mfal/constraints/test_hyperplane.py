import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.constraints.hyperplane import checked_normal, projected
from mfal.errors import ConstraintError
from tests.mfal.constraints.quadratic import by_slsqp, cases

_project = jax.jit(projected)


def test_projections_are_those_of_a_quadratic_programme():
    for normal, y in cases(200):
        x = np.asarray(_project(checked_normal(normal, "test"), y[None]))[0]
        np.testing.assert_allclose(x, by_slsqp(normal, y), atol=1e-8)


def test_projections_are_fractions_on_the_plane_and_stay_where_they_are():
    for normal, y in cases(200, seed=1):
        scaled = checked_normal(normal, "test")
        x = np.asarray(_project(scaled, y[None]))
        assert x.min() >= 0.0
        assert abs(x.sum() - 1.0) < 1e-14
        assert abs(x @ scaled) < 1e-14
        np.testing.assert_allclose(_project(scaled, x), x, atol=1e-14)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-50.0, 50.0), min_size=5, max_size=5), st.integers(0, 2**31))
def test_no_feasible_point_is_nearer(y, seed):
    normal = checked_normal(np.array([2.0, 3.0, -1.0, -2.0, 0.0]), "test")
    y = jnp.asarray(y)[None]
    x = _project(normal, y)
    others = _project(normal, jnp.asarray(np.random.default_rng(seed).dirichlet(np.ones(5), size=64)))
    # Optimality on a convex set: (y - x) . (z - x) <= 0 for all z in it.
    assert float(jnp.max((others - x) @ (y - x)[0])) <= 1e-10


def test_gradients_are_those_of_finite_differences():
    normal = checked_normal(np.array([2.0, 3.0, -1.0, -2.0, 0.0]), "test")
    random = np.random.default_rng(2)
    for y in random.normal(size=(10, 5)) * 0.6 + 0.2:
        direction, weight = random.normal(size=5), random.normal(size=5)
        slope = jax.grad(lambda y, weight=weight: _project(normal, y[None])[0] @ weight)(jnp.asarray(y))
        step = 1e-6
        ends = _project(normal, np.stack([y + step * direction, y - step * direction]))
        assert slope @ direction == pytest.approx(float((ends[0] - ends[1]) @ weight) / (2 * step), abs=1e-7)


def test_only_neutral_components_are_left_where_the_others_have_one_sign():
    normal = checked_normal(np.array([0.0, 2.0, 0.0, 1.0]), "test")
    x = projected(normal, jnp.array([[0.1, 5.0, 0.5, 3.0]]))
    np.testing.assert_allclose(x, [[0.3, 0.0, 0.7, 0.0]], atol=1e-14)


def test_what_is_no_number_does_not_become_a_composition():
    normal = checked_normal(np.array([1.0, -1.0, 0.0]), "test")
    x = projected(normal, jnp.array([[jnp.nan, 0.5, 0.5], [jnp.inf, 0.0, 0.0], [0.4, 0.3, 0.3]]))
    assert jnp.isnan(x).any(axis=1).tolist() == [True, True, False]


def test_points_very_far_away_come_back_to_the_plane():
    normal = checked_normal(np.array([2.0, 3.0, -1.0, -2.0, 0.0]), "test")
    x = projected(normal, jnp.asarray(np.random.default_rng(6).normal(size=(200, 5)) * 1e6))
    assert float(jnp.abs(x @ normal).max()) < 1e-12
    assert float(jnp.abs(x.sum(axis=1) - 1.0).max()) < 1e-12


@pytest.mark.parametrize(
    ("normal", "complaint"),
    [([1.0, 2.0], "one sign"), ([0.0, 0.0], "all zero"), ([np.nan, 1.0], "finite"), ([-1.0, -2.0], "one sign")],
)
def test_a_form_that_vanishes_nowhere_or_everywhere_is_refused(normal, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        checked_normal(np.array(normal), "test")
