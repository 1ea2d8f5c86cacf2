"""Polytopes: what is recognised, what is refused and in which words, and that slack means what it says."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.constraints.base import All, feasible
from mfal.constraints.linear import Bounds, LinearEquality, LinearInequality
from mfal.constraints.polytope import Polytope
from mfal.errors import ConstraintError
from tests.mfal.constraints.polytopes import ALLOY, DECLARED, MANY, SITES, matrices, polytope


@pytest.mark.parametrize("name", DECLARED)
def test_the_centre_is_well_inside_and_the_hull_is_flat(name):
    made, (rows, values, equal, totals) = polytope(name), matrices(name)
    centre, hull = np.asarray(made.body.centre), np.asarray(made.body.hull)
    assert (rows @ centre - values).min() > 1e-3
    np.testing.assert_allclose(equal @ centre, totals, atol=1e-12)
    np.testing.assert_allclose(equal @ hull, 0.0, atol=1e-12)
    assert hull.shape[1] == len(made.names) - len(equal)
    np.testing.assert_allclose(hull.T @ hull, np.eye(hull.shape[1]), atol=1e-12)
    assert bool(made.slack(jnp.asarray(centre[None]))[0] > 1e-3)


def test_groups_are_recognised():
    assert polytope("sites").groups == ((0, 1, 2), (3, 4, 5), (6, 7))
    assert polytope("bounded").groups == ((0, 1, 2, 3, 4),)
    assert polytope("inequalities").groups is None
    assert polytope("charge").groups is None


def test_conditions_that_follow_from_others_are_dropped():
    total = LinearEquality.of(SITES, dict.fromkeys(SITES, 2.0), 10.0)
    loose = LinearInequality.at_most(SITES, {"Ba": 1.0, "Sr": 1.0}, 1.5)
    made = Polytope.of(SITES, [total, loose, *DECLARED["sites"][1]])
    assert made.groups == polytope("sites").groups
    assert made.rows.shape[0] == 0


def test_equalities_in_disguise_are_recognised():
    """A + B <= .5 and the others <= .5 leave no width across; a lower and an upper bound at once pin a component."""
    halves = [
        LinearInequality.at_most(ALLOY, {"Fe": 1.0, "Co": 1.0}, 0.5),
        LinearInequality.at_most(ALLOY, {"Ni": 1.0, "Cr": 1.0, "Mn": 1.0}, 0.5),
        Bounds.between(ALLOY, {"Mn": 0.1}, {"Mn": 0.1}),
    ]
    made = Polytope.of(ALLOY, [LinearEquality.group(ALLOY, ALLOY), *halves])
    assert made.body.hull.shape == (5, 2)
    np.testing.assert_allclose(made.body.hull[4], 0.0)
    y = made.project(jnp.asarray(np.random.default_rng(0).normal(size=(100, 5))))
    np.testing.assert_allclose(y[:, 0] + y[:, 1], 0.5, atol=1e-12)
    assert (y[:, 4] == 0.1).all()


def test_a_single_point_is_a_polytope():
    made = Polytope.simplex(ALLOY, dict.fromkeys(ALLOY, 0.2))
    assert made.body.hull.shape == (5, 0)
    np.testing.assert_allclose(made.project(jnp.ones((3, 5))), 0.2)


def test_a_box_needs_no_sum():
    made = Polytope.of(ALLOY, [Bounds.between(ALLOY, {}, dict.fromkeys(ALLOY, 0.3))])
    assert made.groups == ()
    np.testing.assert_array_equal(made.project(jnp.full((1, 5), 0.4)), 0.3)


def test_slack_agrees_with_the_declared_conditions():
    """A million designs: inside exactly where every declared inequality holds."""
    made, (rows, values, _, _) = polytope("bounded"), matrices("bounded")
    x = np.random.default_rng(0).dirichlet(np.ones(5), 1_000_000)
    inside = (x @ rows.T >= values).all(axis=1)
    np.testing.assert_array_equal(feasible(made, jnp.asarray(x), 0.0), inside)
    assert 0.01 < inside.mean() < 0.99


def test_slack_inside_is_the_distance_to_the_nearest_face_and_outside_below_no_distance():
    made = polytope("inequalities")
    x = made.project(jnp.asarray(np.random.default_rng(0).normal(0.1, 0.3, (1000, 15))))
    assert jnp.abs(made.slack(x)).max() < 1e-12
    x = jnp.asarray(np.random.default_rng(1).normal(0.1, 0.1, (1000, 15)))
    assert (-made.slack(x) <= jnp.linalg.norm(x - made.project(x), axis=1) + 1e-12).all()


def test_slack_has_the_gradient_of_finite_differences():
    made, step = polytope("bounded"), 1e-7
    x = jnp.asarray(np.random.default_rng(0).dirichlet(np.ones(5), 500))
    gradient = jax.grad(lambda x: jnp.sum(made.slack(x)))(x)
    for a, b in [(0, 1), (2, 4)]:
        along = jnp.zeros(5).at[a].set(1.0).at[b].set(-1.0)
        numeric = (made.slack(x + step * along) - made.slack(x - step * along)) / (2.0 * step)
        smooth = jnp.abs(made.slack(x + step * along) + made.slack(x - step * along) - 2 * made.slack(x)) < 1e-3 * step
        assert jnp.abs(numeric - gradient @ along)[smooth].max() < 1e-6
        assert smooth.mean() > 0.98


def test_it_composes_with_others():
    made = polytope("simplex")
    both = All((made, Bounds.between(ALLOY, {"Fe": 0.5})))
    x = jnp.asarray([[0.2, 0.2, 0.2, 0.2, 0.2], [0.6, 0.1, 0.1, 0.1, 0.1]])
    np.testing.assert_array_equal(feasible(both, x, 0.0), [False, True])


@pytest.mark.parametrize(
    ("names", "conditions", "told", "left_out"),
    [
        (ALLOY, lambda: [_lower(Fe=0.9, Co=0.2), _whole(ALLOY)], ["Fe >= 0.9 (at most 0.8", "Co >= 0.2"], ["Ni"]),
        (ALLOY, lambda: [_upper(ALLOY, 0.1), _whole(ALLOY)], ["Mn <= 0.1 (at least 0.6 is", "at most 0.5"], []),
        (
            ALLOY,
            lambda: [
                _whole(ALLOY),
                LinearInequality.at_least(ALLOY, {"Fe": 1.0, "Co": 1.0}, 0.7),
                LinearInequality.at_least(ALLOY, {"Ni": 1.0, "Cr": 1.0}, 0.7),
                LinearInequality.at_most(ALLOY, {"Mn": 1.0, "Fe": 0.1}, 0.9),
            ],
            ["Fe + Co >= 0.7 (at most 0.3", "Ni + Cr >= 0.7"],
            ["Mn + ", "0.1 Fe"],
        ),
        (ALLOY, lambda: [_whole(ALLOY), LinearEquality.group(ALLOY, ALLOY, 2.0)], ["= 1", "= 2"], []),
        (ALLOY, lambda: [LinearEquality.group(ALLOY, ALLOY[:2])], ["nothing limits Ni"], []),
        (("Fe", "Fe"), lambda: [], ["Fe"], []),
        (MANY, lambda: [_whole(ALLOY)], ["name the same"], []),
    ],
)
def test_an_empty_set_names_the_conditions_that_conflict_and_no_others(names, conditions, told, left_out):
    with pytest.raises(ConstraintError) as refusal:
        Polytope.of(names, conditions())
    text = str(refusal.value)
    assert all(word in text for word in told), text
    assert not any(word in text.replace(" + ".join(ALLOY), "all") for word in left_out), text


@pytest.mark.parametrize(
    ("design", "words"),
    [
        ([0.2, 0.2, 0.2, 0.2, np.nan], ["Mn", "nan", "row=1"]),
        ([0.3, 0.2, 0.2, 0.4, -0.1], ["Mn", "-0.1", "row=1"]),
        ([0.05, 0.25, 0.2, 0.25, 0.25], ["Fe >= 0.1", "0.05", "row=1"]),
        ([0.3, 0.3, 0.2, 0.2, 0.2], ["= 1", "missed", "row=1"]),
    ],
)
def test_a_design_that_is_none_is_refused_by_name(design, words):
    made = polytope("bounded")
    good = [0.2, 0.2, 0.2, 0.2, 0.2]
    made.check(np.array([good]))
    with pytest.raises(ConstraintError) as refusal:
        made.check(np.array([good, design]))
    assert all(word in str(refusal.value) for word in words), refusal.value


def test_building_takes_well_under_a_second():
    polytope("inequalities")
    started = time.perf_counter()
    polytope("inequalities")
    assert time.perf_counter() - started < 5.0


def _lower(**bounds):
    return Bounds.between(ALLOY, bounds)


def _upper(names, bound):
    return Bounds.between(names, {}, dict.fromkeys(names, bound))


def _whole(names):
    return LinearEquality.group(names, names)
