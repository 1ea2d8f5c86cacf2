"""Burgers' data and solver, each against the other."""

import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.inverse import burgers_solver
from benchmarks.inverse.burgers_data import SPEED, VISCOSITY, samples, velocity


def test_quadrature_and_solver_agree():
    points = samples(0.0, 0).points
    rates = jnp.asarray([SPEED, np.log(VISCOSITY)])
    solved = burgers_solver._sampled(burgers_solver._solved(rates), jnp.asarray(points))
    np.testing.assert_allclose(solved, velocity(points), atol=5e-5)


def test_the_solution_begins_as_told_and_is_odd():
    place = np.linspace(-1.0, 1.0, 21)
    now = np.column_stack([np.zeros(21), place])
    np.testing.assert_allclose(velocity(now), -np.sin(np.pi * place), atol=1e-12)
    later = np.column_stack([np.full(21, 0.7), place])
    np.testing.assert_allclose(velocity(later), -velocity(later)[::-1], atol=1e-12)


def test_the_fit_is_within_the_bound_of_the_truth():
    measured = samples(0.05, 4)
    found = burgers_solver.fit(measured, known_initial=True)
    bound = burgers_solver.cramer_rao(measured, known_initial=True)
    # Four standard deviations: one test in eight thousand of a right solver would fail.
    assert abs(found.speed - SPEED) < 4.0 * bound[0]
    assert abs(np.log(found.viscosity / VISCOSITY)) < 4.0 * bound[1]
    assert found.sd == pytest.approx(bound, rel=0.15)
