"""Projections: nearest by an independent solver, idempotent to the bit, feasible for all of 10^6, right gradients."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from mfal.constraints.polytope import Polytope
from mfal.constraints.project import onto_polyhedron
from tests.mfal.constraints.polytopes import DECLARED, FEW_AND_MANY, matrices, nearest, polytope


def away(count, size, seed=0):
    """Return points near and far, some of them feasible or on a corner."""
    rng = np.random.default_rng(seed)
    return rng.normal(1.0 / size, 1.0, (count, size)) * rng.choice([0.01, 0.3, 3.0, 100.0], (count, 1))


def general(made):
    """Return the same set without what is known of its groups."""
    return Polytope(made.names, None, made.body, made.rows, made.values, made.spread)


project = eqx.filter_jit(lambda made, x: made.project(x))


@pytest.mark.parametrize("name", DECLARED)
def test_no_point_is_nearer(name):
    """300 points each; agreement to 1e-9 with least-distance programming on the declared matrices."""
    made, declared = polytope(name), matrices(name)
    x = away(300, len(made.names))
    expected = np.array([nearest(row, *declared) for row in x])
    # An error of rounding grows with the distance.
    scale = 1e-9 * np.maximum(1.0, np.abs(x).max(axis=1))
    assert (np.abs(np.asarray(project(made, jnp.asarray(x))) - expected).max(axis=1) < scale).all()
    assert (np.abs(np.asarray(project(general(made), jnp.asarray(x))) - expected).max(axis=1) < scale).all()


@pytest.mark.parametrize("name", ["bounded", "inequalities"])
def test_a_general_solver_finds_the_same(name):
    made, (rows, values, equal, totals) = polytope(name), matrices(name)
    conditions = [
        {"type": "ineq", "fun": lambda y: rows @ y - values, "jac": lambda _: rows},
        {"type": "eq", "fun": lambda y: equal @ y - totals, "jac": lambda _: equal},
    ]
    for x in away(10, len(made.names), seed=1) / 10.0:
        found = minimize(
            lambda y, x=x: 0.5 * np.sum((y - x) ** 2),
            made.body.centre,
            jac=lambda y, x=x: y - x,
            constraints=conditions,
            method="SLSQP",
            options={"ftol": 1e-15, "maxiter": 500},
        )
        np.testing.assert_allclose(project(made, jnp.asarray(x[None]))[0], found.x, atol=1e-6)


@pytest.mark.parametrize("count", FEW_AND_MANY)
@pytest.mark.parametrize("name", DECLARED)
def test_every_outcome_is_a_design_and_stays_where_it_is(name, count):
    """None of many breaks a bound by one bit, none moves by one bit when projected again."""
    made, (rows, values, equal, totals) = polytope(name), matrices(name)
    count = count if made.groups else count // 10
    for seed, part in enumerate([count // 10] * 10):
        y = project(made, jnp.asarray(away(part, len(made.names), seed)))
        assert bool(jnp.all(y >= made.body.lower) & jnp.all(y <= made.body.upper))
        assert np.abs(np.asarray(y) @ equal.T - totals).max() <= 4.0 * np.spacing(np.abs(totals).max() + 1.0)
        assert (np.asarray(y) @ rows.T - values).min() > -1e-12
        np.testing.assert_array_equal(project(made, y), y)


@pytest.mark.parametrize("name", ["fifteen", "sites"])
def test_sums_are_exact_to_four_units_in_the_last_place(name):
    made = polytope(name)
    y = np.asarray(project(made, jnp.asarray(away(20_000, len(made.names)))))
    for group, total in zip(made.groups, np.asarray(made.body.totals), strict=True):
        worst = max(abs(math.fsum(row) - total) for row in y[:, group])
        assert worst <= 4.0 * np.spacing(total)


@pytest.mark.parametrize("name", DECLARED)
def test_gradients_are_those_of_finite_differences(name):
    """Forward and reverse; rows where the binding set changes within the step have no derivative and are left out."""
    made, step = polytope(name), 1e-7
    size = len(made.names)
    x = jnp.asarray(away(100, size, seed=2) * 0.3)
    one = lambda row: made.project(row[None])[0]  # noqa: E731
    forward, reverse = jax.jit(jax.vmap(jax.jacfwd(one)))(x), jax.jit(jax.vmap(jax.jacrev(one)))(x)
    np.testing.assert_allclose(forward, reverse, atol=1e-12)
    shifts = step * jnp.eye(size)
    right = jnp.stack([project(made, x + shift) for shift in shifts], axis=-1)
    left = jnp.stack([project(made, x - shift) for shift in shifts], axis=-1)
    smooth = jnp.abs(right + left - 2.0 * project(made, x)[..., None]).max(axis=(1, 2)) < 1e-3 * step
    assert smooth.mean() > 0.9
    assert jnp.abs((right - left) / (2.0 * step) - forward)[smooth].max() < 1e-6


def test_interior_points_feel_only_directions_along_the_sum():
    made = polytope("bounded")
    jacobian = jax.jacfwd(lambda row: made.project(row[None])[0])(made.body.centre)
    np.testing.assert_allclose(jacobian, np.eye(5) - 0.2, atol=1e-15)


@pytest.mark.parametrize("name", ["bounded", "inequalities"])
def test_degenerate_corners(name):
    """From far along random directions the nearest points are corners and edges, where more rows bind than needed."""
    made, declared = polytope(name), matrices(name)
    x = np.sign(away(200, len(made.names), seed=3)) * 5.0
    expected = np.array([nearest(row, *declared) for row in x])
    found = jax.jit(jax.vmap(lambda row: onto_polyhedron(row, made.body)))(jnp.asarray(x))
    np.testing.assert_allclose(found, expected, atol=1e-8)


@pytest.mark.parametrize("name", DECLARED)
def test_rows_from_very_far_away_become_designs_too(name):
    """Up to 10^10: rounding of the row must not pass for a violation, nor end the search early."""
    made = polytope(name)
    directions = np.random.default_rng(1).normal(size=(200, len(made.names)))
    for scale in (1e3, 1e6, 1e10):
        x = jnp.asarray(scale * directions)
        for one in (made, general(made)):
            y = project(one, x)
            assert float(one.slack(y).min()) >= -1e-12
            np.testing.assert_array_equal(project(one, y), y)
