"""The best design under constraints: dense grids, enumerated supports and an independent solver as the rivals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import minimize

from mfal.acquisition.ascent import ascend
from mfal.acquisition.improvement import expected_improvement
from mfal.acquisition.optimise import maximise, softened
from mfal.constraints.cardinality import Cardinality, SparseDesigns
from mfal.constraints.linear import Bounds, LinearEquality, LinearInequality
from mfal.constraints.polytope import Polytope

NAMES = ("Ni", "Co", "Cr")
SEEDS = [0, 1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]


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


@pytest.mark.parametrize("kind", [surface, improvement_surface])
def test_beats_a_dense_grid(kind):
    points = grid()
    assert points.shape[0] >= 5000
    x, found, best = compare(kind, jnp.asarray(points), Polytope.simplex(NAMES))
    assert_found_no_worse(found, best)
    assert np.abs(x.sum(axis=1) - 1.0).max() < 1e-15 and (x >= 0.0).all()


def test_beats_a_dense_grid_between_bounds():
    lower, upper = np.array([0.1, 0.05, 0.2]), np.array([0.5, 0.6, 0.7])
    points = grid(280)
    inside = ((points >= lower - 1e-12) & (points <= upper + 1e-12)).all(axis=1)
    assert inside.sum() >= 5000
    x, found, best = compare(
        surface,
        jnp.asarray(points[inside]),
        Polytope.simplex(NAMES, dict(zip(NAMES, lower, strict=True)), dict(zip(NAMES, upper, strict=True))),
    )
    assert_found_no_worse(found, best)
    assert (x >= lower).all() and (x <= upper).all()


def test_finds_a_known_interior_maximum():
    goal = jnp.array([0.17, 0.33, 0.5])
    box = Polytope.simplex(NAMES)
    x, _ = maximise(lambda x: -jnp.sum((x - goal) ** 2), box, jax.random.key(0))
    np.testing.assert_allclose(x, goal, atol=1e-8)


def wavy(size, seed):
    """Return a smooth function of fractions with many maxima."""
    rng = np.random.default_rng(seed)
    waves, phases = jnp.asarray(rng.normal(scale=4.0, size=(size, size))), jnp.asarray(rng.uniform(0.0, 6.0, size))
    return lambda x: jnp.sum(jnp.sin(waves @ x + phases))


@pytest.mark.parametrize("seed", SEEDS)
def test_no_worse_than_an_independent_solver_under_linear_conditions(seed):
    """SLSQP of SciPy from 100 feasible starts; here two sites, a bound on a sum and one on a weighted sum."""
    names = ("Ba", "Sr", "Ca", "Ti", "Zr", "Hf")
    sites = [LinearEquality.group(names, names[:3], 0.5), LinearEquality.group(names, names[3:], 0.5)]
    heavy = LinearInequality.at_most(names, {"Ba": 1.0, "Hf": 1.0}, 0.4)
    price = LinearInequality.at_most(names, {"Sr": 1.0, "Hf": 3.0, "Zr": 2.0}, 0.6)
    designs = Polytope.of(names, [*sites, heavy, price, Bounds.between(names, {"Ca": 0.02})])
    value = wavy(6, seed)
    x, found = maximise(value, designs, jax.random.key(seed))
    designs.check(np.asarray(x)[None])
    assert float(found) >= _by_slsqp(value, designs, seed) - 1e-6


def _by_slsqp(value, designs, seed):
    negative = jax.jit(jax.value_and_grad(lambda x: -value(x)))
    body = designs.body
    conditions = [
        {"type": "eq", "fun": lambda x: body.equal @ x - body.totals, "jac": lambda x: body.equal},
        {"type": "ineq", "fun": lambda x: designs.rows @ x - designs.values, "jac": lambda x: designs.rows},
    ]
    box = list(zip(np.asarray(body.lower), np.asarray(body.upper), strict=True))
    best = -np.inf
    for start in np.asarray(designs.sample(100, jax.random.key(seed + 100))):
        end = minimize(negative, start, jac=True, method="SLSQP", bounds=box, constraints=conditions)
        feasible = float(designs.slack(jnp.asarray(end.x)[None])[0]) > -1e-6
        best = max(best, -float(end.fun)) if feasible else best
    return best


@pytest.mark.parametrize("seed", SEEDS)
def test_few_elements_no_worse_than_every_support_by_itself(seed):
    names = tuple("ABCDEFG")
    whole = Polytope.simplex(names, {}, dict.fromkeys(names, 0.6))
    designs = SparseDesigns.of(whole, Cardinality.between(2, 3, 0.05))
    value = wavy(7, seed)
    x, found = maximise(value, designs, jax.random.key(seed))
    assert float(designs.slack(x[None])[0]) >= 0.0
    # Seventy ascents on each of the 56 supports, without exchanges.
    starts = designs.sample(4_000, jax.random.key(seed + 100))
    best = float(jax.jit(jax.vmap(lambda y: ascend(value, lambda z: designs.within(z, y), y)[1]))(starts).max())
    assert float(found) >= best - 1e-8


def test_the_soft_form_gives_way_as_a_violation_gets_cheap():
    """Its maximum is outside for a small beta, and the hard one from some beta on: an exact penalty."""
    whole = Polytope.simplex(NAMES)
    little_cobalt = LinearInequality.at_most(NAMES, {"Co": 1.0}, 0.2)
    value = lambda x: -jnp.sum((x - jnp.array([0.2, 0.6, 0.2])) ** 2)  # noqa: E731
    hard = Polytope.simplex(NAMES, {}, {"Co": 0.2})
    x, _ = maximise(value, hard, jax.random.key(0))
    np.testing.assert_allclose(x, [0.4, 0.2, 0.4], atol=1e-8)
    soft = [maximise(softened(value, little_cobalt, beta), whole, jax.random.key(0))[0][1] for beta in (0.0, 0.3, 2.0)]
    assert 0.6 == pytest.approx(float(soft[0]), abs=1e-6) and soft[0] > soft[1] > 0.3
    assert float(soft[2]) == pytest.approx(0.2, abs=1e-4)


def test_the_soft_form_has_the_right_gradient():
    whole = Polytope.simplex(NAMES, {}, {"Co": 0.2})
    soft = softened(lambda x: jnp.sum(jnp.sin(3.0 * x)), whole, 0.7)
    for x in (jnp.array([0.3, 0.4, 0.35]), jnp.array([0.5, 0.1, 0.4]), jnp.array([0.1, 0.8, -0.2])):
        steps = 1e-6 * jnp.eye(3)
        finite = [(soft(x + step) - soft(x - step)) / 2e-6 for step in steps]
        np.testing.assert_allclose(jax.grad(soft)(x), np.array(finite), atol=1e-7)


def test_a_start_without_a_value_is_left_alone():
    """A logarithm of nothing, on half of the set, does not win."""
    value = lambda x: jnp.log(x[0] - 0.5)  # noqa: E731
    x, found = maximise(value, Polytope.simplex(NAMES), jax.random.key(0))
    np.testing.assert_allclose(x, [1.0, 0.0, 0.0], atol=1e-12)
    assert float(found) == pytest.approx(np.log(0.5))
