"""The optimiser on functions whose minimum is known, and against SciPy's BFGS."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from mfal.surrogate.fit import minimise


def rosenbrock(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def starts(seed, count, size):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(count, size)))


@pytest.mark.parametrize("condition", [1.0, 1e2, 1e4])
def test_quadratics(condition):
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    matrix, centre = (
        jnp.asarray(turn @ np.diag(np.geomspace(1.0, condition, 6)) @ turn.T),
        jnp.asarray(rng.normal(size=6)),
    )
    found = minimise(lambda x: 0.5 * (x - centre) @ matrix @ (x - centre), starts(1, 2, 6))
    # It stops where a step gains less than 1e-9 of the value.
    np.testing.assert_allclose(found, centre, atol=1e-3)


def test_rosenbrock():
    found = minimise(rosenbrock, jnp.array([[-1.2, 1.0], [0.0, 2.0]]), steps=200)
    np.testing.assert_allclose(found, 1.0, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_as_good_as_scipy(seed):
    """A smooth function with curved valleys and one minimum, from the same starts."""
    weights = np.random.default_rng(seed).normal(size=(12, 5))

    def function(x):
        return jnp.sum(jax.nn.softplus(weights @ x)) + 0.5 * jnp.sum(x**2) + 0.1 * jnp.sum((x[1:] - x[:-1] ** 2) ** 2)

    begin = starts(seed, 3, 5)
    ours = float(function(minimise(function, begin)))
    value, slope = jax.jit(function), jax.jit(jax.grad(function))
    theirs = min(minimize(value, start, jac=slope, method="BFGS").fun for start in np.asarray(begin))
    assert ours == pytest.approx(theirs, abs=1e-6)


def test_best_of_many_starts_is_returned():
    """Two valleys at -1 and 2; the second is deeper."""
    found = minimise(lambda x: ((x[0] + 1.0) ** 2) * ((x[0] - 2.0) ** 2) - 0.5 * x[0], jnp.array([[-1.2], [2.4]]))
    assert 2.0 < float(found[0]) < 2.1
    alone = minimise(lambda x: ((x[0] + 1.0) ** 2) * ((x[0] - 2.0) ** 2) - 0.5 * x[0], jnp.array([[-1.2]]))
    assert float(alone[0]) < 0.0


def test_undefined_regions_are_backed_out_of():
    """The logarithm is undefined left of zero, and the first step from 8 lands there: x - log x is least at 1."""
    found = minimise(lambda x: jnp.sum(20.0 * x - 20.0 * jnp.log(x)), jnp.array([[8.0, 0.01]]))
    np.testing.assert_allclose(found, 1.0, atol=1e-3)


def test_starts_without_a_value_are_passed_over():
    begin = jnp.array([[-1.0], [3.0], [jnp.nan]])
    found = minimise(lambda x: jnp.sum(x - jnp.log(x)), begin)
    np.testing.assert_allclose(found, 1.0, atol=1e-3)
    # Nothing to start from: the first start comes back, and no NaN is made up.
    assert float(minimise(lambda x: jnp.sum(jnp.log(x)), jnp.array([[-1.0], [-2.0]]))[0]) == -1.0


def test_infinite_walls_stop_the_descent():
    found = minimise(lambda x: jnp.where(x[0] < 0.5, jnp.inf, x[0] ** 2), jnp.array([[2.0]]))
    assert 0.5 <= float(found[0]) < 2.0


@pytest.mark.parametrize("steps", [1, 3, 10, 80])
def test_never_worse_than_the_starts(steps):
    begin = starts(5, 4, 3)
    assert float(rosenbrock(minimise(rosenbrock, begin, steps=steps))) <= float(jax.vmap(rosenbrock)(begin).min())


def test_a_minimum_stays_where_it_is():
    np.testing.assert_array_equal(minimise(lambda x: jnp.sum(x**2), jnp.zeros((1, 3))), np.zeros(3))


def test_a_flat_function_ends_at_once():
    np.testing.assert_array_equal(minimise(lambda x: 0.0 * jnp.sum(x), jnp.ones((1, 3))), np.ones(3))


def test_many_problems_run_side_by_side():
    """Under jit and vmap each ends where it ends alone."""
    centres = starts(7, 5, 2)
    begin = jnp.full((2, 2), 0.3)
    run = jax.jit(jax.vmap(lambda centre: minimise(lambda x: rosenbrock(x - centre), begin, steps=200)))
    together = run(centres)
    np.testing.assert_allclose(together, centres + 1.0, atol=1e-3)
    for centre, found in zip(centres, together, strict=True):
        alone = minimise(lambda x, centre=centre: rosenbrock(x - centre), begin, steps=200)
        np.testing.assert_allclose(found, alone, atol=1e-6)
