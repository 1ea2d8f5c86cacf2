"""Few elements: distances, projections against every support, samples against the stated distribution."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from mfal.constraints.base import feasible
from mfal.constraints.cardinality import Cardinality, SparseDesigns
from mfal.constraints.linear import Bounds, LinearEquality
from mfal.constraints.polytope import Polytope
from mfal.errors import ConstraintError
from tests.mfal.constraints.polytopes import ALLOY, FEW_AND_MANY, MANY, nearest, polytope

PLAIN = SparseDesigns.of(Polytope.simplex(ALLOY), Cardinality.between(1, 2))
LOWER, UPPER = {"Fe": 0.1}, {"Fe": 0.5, "Co": 0.7, "Ni": 0.15, "Cr": 0.4}
BOUNDED = SparseDesigns.of(Polytope.simplex(ALLOY, LOWER, UPPER), Cardinality.between(2, 3, 0.05))
SITED = SparseDesigns.of(polytope("sites"), Cardinality.between(1, 5, 0.02))
EVEN = SparseDesigns.of(Polytope.simplex(ALLOY, {}, dict.fromkeys(ALLOY, 0.6)), Cardinality.between(2, 4, 0.1))
SETS = {"plain": PLAIN, "bounded": BOUNDED, "sites": SITED, "even": EVEN}


def away(count, size, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(1.0 / size, 0.5, (count, size)))


def every_support(designs, x):
    """Return the nearest design of one point: every subset of the elements, an independent projection on each."""
    body, rule, size = designs.polytope.body, designs.cardinality, len(x)
    lower, upper = np.asarray(body.lower), np.asarray(body.upper)
    found = []
    for count in range(rule.least, rule.most + 1):
        for support in map(list, combinations(range(size), count)):
            least, most = np.zeros(size), np.zeros(size)
            least[support], most[support] = np.maximum(lower, rule.threshold)[support], upper[support]
            sums = [(least[list(g)].sum(), most[list(g)].sum()) for g in designs.polytope.groups]
            fit = all(a <= t + 1e-12 and b >= t - 1e-12 for (a, b), t in zip(sums, body.totals, strict=True))
            if fit and (least <= most).all() and (lower <= least).all():
                rows, values = np.concatenate([np.eye(size), -np.eye(size)]), np.concatenate([least, -most])
                found.append(nearest(x, rows, values, np.asarray(body.equal), np.asarray(body.totals)))
    return min(found, key=lambda y: np.sum((y - x) ** 2))


@pytest.mark.parametrize("name", ["plain", "bounded", "even"])
def test_no_design_is_nearer_on_any_support(name):
    designs = SETS[name]
    x = away(60, 5)
    found = np.asarray(designs.project(x))
    expected = np.array([every_support(designs, row) for row in np.asarray(x)])
    gap = np.sum((found - x) ** 2, axis=1) - np.sum((expected - x) ** 2, axis=1)
    assert np.abs(gap).max() < 1e-9


def test_the_largest_elements_are_not_always_nearest():
    """Where bounds differ the greedy support is wrong: Ni is the largest of all, but may take no more than .15."""
    assert PLAIN.alike and EVEN.alike and not BOUNDED.alike
    unlike = SparseDesigns.of(Polytope.simplex(ALLOY, {}, {"Ni": 0.15}), Cardinality.between(1, 2))
    y = np.asarray(unlike.project(jnp.asarray([[0.4, 0.4, 0.45, 0.0, 0.0]])))[0]
    np.testing.assert_allclose(y, [0.5, 0.5, 0.0, 0.0, 0.0], atol=1e-15)


@pytest.mark.parametrize("count", FEW_AND_MANY)
@pytest.mark.parametrize("name", SETS)
def test_projections_are_designs_and_idempotent(name, count):
    designs = SETS[name]
    count = count if name == "plain" else count // 50
    y = designs.project(away(count, len(designs.polytope.names), seed=1))
    assert feasible(designs, y, 1e-15).all()
    np.testing.assert_array_equal(designs.project(y), y)


@pytest.mark.slow
def test_gradients_are_those_of_finite_differences():
    x, step = away(50, 5, seed=2), 1e-7
    one = lambda row: BOUNDED.project(row[None])[0]  # noqa: E731
    exact = jax.vmap(jax.jacfwd(one))(x)
    right = jnp.stack([BOUNDED.project(x + shift) for shift in step * jnp.eye(5)], axis=-1)
    left = jnp.stack([BOUNDED.project(x - shift) for shift in step * jnp.eye(5)], axis=-1)
    smooth = jnp.abs(right + left - 2.0 * BOUNDED.project(x)[..., None]).max(axis=(1, 2)) < 1e-3 * step
    assert smooth.mean() > 0.9
    assert jnp.abs((right - left) / (2.0 * step) - exact)[smooth].max() < 1e-6


def test_slack_is_the_norm_of_what_is_dropped():
    rule = Cardinality.between(1, 2)
    x = jnp.asarray([[0.5, 0.3, 0.16, 0.04, 0.0], [0.6, 0.4, 0.0, 0.0, 0.0]])
    np.testing.assert_allclose(rule.slack(x), [-np.hypot(0.16, 0.04), 0.0])
    rule = Cardinality.between(3, 4, 0.05)
    x = jnp.asarray([[0.9, 0.1, 0.0, 0.0, 0.0], [0.4, 0.3, 0.3, 0.0, 0.0], [0.2, 0.2, 0.2, 0.2, 0.2]])
    # Lacking one element; able to lose .25 of the third or to gain two of .05; one too many by .15.
    np.testing.assert_allclose(rule.slack(x), [-0.05, np.hypot(0.05, 0.05), -0.15])


def test_slack_is_the_distance_to_the_boundary():
    """Moving by less than the slack in any direction keeps a vector inside; the gradient has length one."""
    rule, rng = Cardinality.between(2, 3, 0.1), np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(0.0, 0.3, (20_000, 5)))
    slack = rule.slack(x)
    turn = rng.normal(size=x.shape)
    moved = x + 0.999 * jnp.abs(slack)[:, None] * turn / np.linalg.norm(turn, axis=1, keepdims=True)
    assert (jnp.sign(rule.slack(moved)) == jnp.sign(slack)).all()
    length = jnp.linalg.norm(jax.grad(lambda x: rule.slack(x).sum())(x), axis=1)
    np.testing.assert_allclose(length, 1.0)


def test_samples_have_every_support_equally_often_and_are_uniform_on_it():
    """Chi-squared over supports and Beta marginals within each, three seeds, level 1e-3 in all."""
    designs = SparseDesigns.of(Polytope.simplex(ALLOY), Cardinality.between(1, 3))
    assert designs.supports.shape[0] == 5 + 10 + 10
    chances = []
    for seed in range(3):
        x = np.asarray(designs.sample(60_000, jax.random.key(seed)))
        codes, counts = np.unique((x > 0.0) @ (1 << np.arange(5)), return_counts=True)
        assert len(codes) == 25
        chances.append(stats.chisquare(counts).pvalue)
        for support in combinations(range(5), 3):
            here = x[((x > 0.0) == np.isin(np.arange(5), support)).all(axis=1)]
            chances.append(stats.kstest(here[:, support[0]], stats.beta(1, 2).cdf).pvalue)
    assert min(chances) > 1e-3 / len(chances)


@pytest.mark.parametrize("count", FEW_AND_MANY)
@pytest.mark.parametrize("name", SETS)
def test_no_sample_is_invalid(name, count):
    designs = SETS[name]
    x = designs.sample(count if name != "sites" else count // 5, jax.random.key(3))
    assert feasible(designs, x, 0.0).all()
    assert ((x == 0.0) | (x >= designs.cardinality.threshold)).all()


def test_sites_keep_at_least_one_element_each():
    x = np.asarray(SITED.sample(10_000, jax.random.key(0)))
    assert (x[:, :3].sum(axis=1) > 0.99).all() and (x[:, 6] >= 2.5).all()
    assert ((x > 0.0).sum(axis=1) <= 5).all()


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Cardinality.between(3, 2), ["least=3", "most=2"]),
        (lambda: Cardinality.between(2, 2), ["threshold"]),
        (lambda: Cardinality.between(1, 2, float("nan")), ["threshold=nan"]),
        (lambda: SparseDesigns.of(polytope("inequalities"), Cardinality.between(1, 2)), ["linear"]),
        (lambda: SparseDesigns.of(polytope("fifteen"), Cardinality.between(1, 5)), ["1 to 5", "allow more"]),
        (
            lambda: SparseDesigns.of(
                Polytope.of(ALLOY, [Bounds.between(ALLOY, {}, dict.fromkeys(ALLOY, 1.0))]), Cardinality.between(1, 2)
            ),
            ["one sum"],
        ),
        (lambda: SparseDesigns.of(_wide(30), Cardinality.between(1, 15)), ["fewer"]),
        (lambda: Cardinality.between(6, 7, 0.1).slack(jnp.ones((1, 5))), ["5 components"]),
    ],
)
def test_nonsense_is_refused(build, words):
    with pytest.raises(ConstraintError) as refusal:
        build()
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_fifteen_elements_five_at_a_time():
    designs = SparseDesigns.of(Polytope.simplex(MANY, {}, dict.fromkeys(MANY, 0.5)), Cardinality.between(3, 5, 0.02))
    x = designs.sample(100_000, jax.random.key(0))
    assert feasible(designs, x, 0.0).all()
    assert LinearEquality.group(MANY, MANY).slack(x).min() > -1e-15


def _wide(size):
    return Polytope.simplex([f"X{i}" for i in range(size)])
