"""Half-spaces, planes and boxes: slack is a distance, projections are the nearest points, messages name names."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.constraints.base import All, distance, feasible
from mfal.constraints.linear import Bounds, LinearEquality, LinearInequality
from mfal.errors import ConstraintError

NAMES = ("Fe", "Co", "Ni", "Cr")
CONDITIONS = {
    "at least": LinearInequality.at_least(NAMES, {"Fe": 2.0, "Co": 1.0}, 0.7),
    "at most": LinearInequality.at_most(NAMES, {"Ni": 1.0, "Cr": 3.0, "Fe": -0.5}, 0.4),
    "plane": LinearEquality.group(NAMES, NAMES),
    "slab": LinearEquality.of(NAMES, {"Fe": 1.0, "Co": -2.0}, 0.1, tolerance=0.05),
    "box": Bounds.between(NAMES, {"Fe": 0.1}, {"Fe": 0.4, "Cr": 0.2}),
}


def designs(count, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(0.3, 0.5, (count, len(NAMES))))


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_projections_are_feasible_idempotent_and_as_far_as_slack_says(condition):
    x = designs(1_000_000)
    y = eqx.filter_jit(condition.project)(x)
    assert feasible(condition, y, 1e-15).all()
    assert jnp.abs(condition.project(y) - y).max() < 1e-15
    assert jnp.abs(jnp.linalg.norm(x - y, axis=1) - distance(condition, x)).max() < 1e-14


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_no_feasible_point_is_nearer(condition):
    """Variational inequality: (x - Px).(z - Px) <= 0 for each feasible z."""
    x, z = designs(2_000), condition.project(designs(2_000, seed=1))
    y = condition.project(x)
    assert ((x - y) @ z.T - jnp.sum((x - y) * y, axis=1)[:, None]).max() < 1e-14


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_gradients_are_those_of_finite_differences(condition):
    x, step = designs(200), 1e-6
    total = lambda x: jnp.sum(condition.slack(x)) + jnp.sum(jnp.sin(condition.project(x)))  # noqa: E731
    gradient = jax.grad(total)(x)
    rows = lambda x: condition.slack(x) + jnp.sum(jnp.sin(condition.project(x)), axis=1)  # noqa: E731
    for i in range(len(NAMES)):
        shift = step * jnp.eye(len(NAMES))[i]
        numeric = (rows(x + shift) - rows(x - shift)) / (2.0 * step)
        assert jnp.abs(numeric - gradient[:, i]).max() < 1e-8


def test_slack_inside_has_no_bad_gradient_on_a_bound():
    x = jnp.asarray([[0.1, 0.2, 0.3, 0.2]])
    assert jnp.isfinite(jax.grad(lambda x: CONDITIONS["box"].slack(x)[0])(x)).all()


@settings(max_examples=25, deadline=None)
@given(st.lists(st.sampled_from(sorted(CONDITIONS)), min_size=1, max_size=5))
def test_all_is_the_worst_of_its_members(chosen):
    x = designs(64)
    members = tuple(CONDITIONS[name] for name in chosen)
    worst = np.min([np.asarray(member.slack(x)) for member in members], axis=0)
    np.testing.assert_array_equal(All(members).slack(x), worst)


def test_conditions_read_as_people_write_them():
    assert CONDITIONS["at least"].describe() == "2 Fe + Co >= 0.7"
    assert CONDITIONS["plane"].describe() == "Fe + Co + Ni + Cr = 1"
    assert LinearInequality.at_most(NAMES, {"Ni": 1.0, "Cr": 3.0}, 0.4).describe() == "Ni + 3 Cr <= 0.4"
    assert CONDITIONS["slab"].describe() == "Fe - 2 Co = 0.1"


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: Bounds.between(NAMES, {"Fe": -0.1}), ["Fe", "-0.1"]),
        (lambda: Bounds.between(NAMES, {"Fe": float("nan")}), ["Fe", "nan"]),
        (lambda: Bounds.between(NAMES, {"Co": 0.5}, {"Co": 0.4}), ["Co >= 0.5", "Co <= 0.4"]),
        (lambda: Bounds.between(NAMES, {"Mn": 0.5}), ["Mn"]),
        (lambda: LinearEquality.group(NAMES, ["Fe", "Fe"]), ["Fe"]),
        (lambda: LinearEquality.of(NAMES, {"Fe": 1.0}, 1.0, tolerance=-1.0), ["tolerance=-1.0"]),
        (lambda: LinearInequality.at_least(NAMES, {"Fe": 0.0}, 1.0), ["Fe", "not zero"]),
        (lambda: LinearInequality.at_least(NAMES, {"Fe": 1.0}, float("nan")), ["nan"]),
    ],
)
def test_nonsense_is_refused_by_name(build, words):
    with pytest.raises(ConstraintError) as refusal:
        build()
    assert all(word in str(refusal.value) for word in words), refusal.value
