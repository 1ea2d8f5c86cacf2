"""Normal equations in chunks, and Levenberg-Marquardt, against dense references."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize

from pinn.training import least_squares
from pinn.training.balance import causal, multiplied, noise_sd, penalised, weighted
from pinn.training.least_squares import Term, normal_equations, objective, term
from pinn.training.sampling import evenly, where_it_matters
from pinn.training.second_order import damped_start, damped_steps


def _decay(unknowns, datum):
    return unknowns[0] * jnp.exp(-unknowns[1] * datum[0]) + unknowns[2] - datum[1]


def _data(count, seed=0):
    draw = np.random.default_rng(seed)
    times = draw.uniform(0.0, 4.0, count)
    return np.column_stack([times, 2.0 * np.exp(-1.3 * times) + 0.5 + 0.05 * draw.standard_normal(count)])


def test_chunks_add_up_to_the_dense_normal_equations(monkeypatch):
    monkeypatch.setattr(least_squares, "CHUNK", 7)
    unknowns = jnp.asarray([1.0, 0.7, 0.1])
    draw = np.random.default_rng(1)
    rows = Term(_decay, jnp.asarray(_data(40)), jnp.asarray(draw.uniform(size=40)), jnp.asarray(draw.normal(size=40)))

    def weighted_rows(unknowns):
        return rows.weights * (rows.rows(unknowns) + rows.shifts)

    jacobian, residuals = jax.jacobian(weighted_rows)(unknowns), weighted_rows(unknowns)
    found = normal_equations([rows, rows], unknowns)
    np.testing.assert_allclose(found.matrix, 2.0 * jacobian.T @ jacobian, rtol=1e-12)
    np.testing.assert_allclose(found.gradient, 2.0 * jacobian.T @ residuals, rtol=1e-12)
    np.testing.assert_allclose(found.value, objective([rows, rows], unknowns), rtol=1e-12)


def test_levenberg_marquardt_ends_where_scipy_does():
    data = _data(200)
    terms = [term(_decay, jnp.asarray(data), 20.0)]
    state, values = damped_steps(terms, damped_start(terms, jnp.asarray([1.0, 3.0, 0.0])), 40)
    expected = scipy.optimize.least_squares(lambda x: x[0] * np.exp(-x[1] * data[:, 0]) + x[2] - data[:, 1], [1, 3, 0])
    np.testing.assert_allclose(state.unknowns, expected.x, rtol=1e-7)
    assert (np.diff(values) <= 0.0).all()


def test_a_step_that_does_not_help_is_refused():
    # Rosenbrock's valley: full Gauss-Newton steps overshoot from here.
    def valley(unknowns, which):
        return which[0] * (1.0 - unknowns[0]) + which[1] * 10.0 * (unknowns[1] - unknowns[0] ** 2)

    terms = [term(valley, jnp.eye(2), 1.0)]
    state, values = damped_steps(terms, damped_start(terms, jnp.asarray([-1.2, 1.0]), jnp.asarray(1e-12)), 60)
    assert int(state.accepted) < 60
    assert (np.diff(values) <= 0.0).all()
    np.testing.assert_allclose(state.unknowns, 1.0, rtol=1e-8)


def test_multipliers_make_a_constraint_exact_at_a_small_penalty():
    pull = term(lambda unknowns, goal: unknowns[0] - goal[0], jnp.asarray([[3.0]]), 1.0)
    wall = term(lambda unknowns, place: unknowns[0] - place[0], jnp.asarray([[1.0]]), 2.0)
    unknowns = jnp.asarray([0.0])
    for _ in range(25):
        state, _ = damped_steps([pull, wall], damped_start([pull, wall], unknowns), 5)
        unknowns, wall = state.unknowns, multiplied(wall, state.unknowns)
    np.testing.assert_allclose(unknowns, 1.0, atol=1e-6)
    # The multiplier is the force 3 - 1 of the data; it survives a change of the penalty.
    np.testing.assert_allclose(wall.weights**2 * wall.shifts, 2.0, rtol=1e-5)
    np.testing.assert_allclose(penalised(wall, 7.0).weights ** 2 * penalised(wall, 7.0).shifts, 2.0, rtol=1e-5)


def test_noise_is_told_from_measured_rows_alone():
    data = _data(4000)
    rows = Term(_decay, jnp.asarray(data), jnp.ones(4000).at[2000:].set(0.0), jnp.zeros(4000))
    found = noise_sd(rows, jnp.asarray([2.0, 1.3, 0.5]), 1.0)
    # The relative standard error of a standard deviation from 2000 rows is 1.6 %: four of them.
    np.testing.assert_allclose(found, 0.05, rtol=0.064)
    np.testing.assert_array_equal(weighted(rows, found).weights[2000:], 0.0)


def test_later_times_wait_for_the_earlier_ones():
    samples = jnp.linspace(0.0, 1.0, 40)[:, None]
    rows = term(lambda unknowns, point: unknowns[0] + 0.0 * point[0], samples, 1.0)
    waiting = causal(rows, jnp.asarray([2.0]), 4, 0.1).weights
    # Each chunk's mean square is 4: weights e^(-0.05 * 4 k).
    np.testing.assert_allclose(waiting[5::10], np.exp(-0.2 * np.arange(4)), rtol=1e-12)
    np.testing.assert_allclose(causal(rows, jnp.asarray([0.0]), 4, 0.1).weights, 1.0)


def test_points_are_even_or_gather_where_it_matters():
    low, high = jnp.asarray([0.0, -1.0]), jnp.asarray([1.0, 3.0])
    even = evenly(4096, low, high, jax.random.key(1))
    counts, *_ = np.histogram2d(even[:, 0], even[:, 1], 8, [[0.0, 1.0], [-1.0, 3.0]])
    assert counts.min() >= 56 and counts.max() <= 72  # 64 each; random points would spread by 8
    near = where_it_matters(lambda p: jnp.exp(-50.0 * (p[1] - 1.0) ** 2), 1000, low, high, jax.random.key(2))
    assert len(np.unique(near, axis=0)) == 1000
    inside = float(jnp.mean(jnp.abs(near[:, 1] - 1.0) < 0.2))
    # A tenth of the box; half the chance is even and half is there, up to draws without replacement.
    assert 0.3 < inside < 0.6
