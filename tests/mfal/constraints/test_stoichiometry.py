import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mfal.constraints.base import All, feasible
from mfal.constraints.charge import MixedValence
from mfal.constraints.oxidation import OxidationStates
from mfal.constraints.stoichiometry import Ratio
from mfal.errors import ConstraintError
from mfal.space.formula import Formula
from tests.mfal.constraints.quadratic import by_slsqp

ELEMENTS = ["Mo", "W", "S", "Se", "Li"]
DICHALCOGENIDE = Ratio.of(ELEMENTS, ["Mo", "W"], ["S", "Se"], (1, 2))


def _fractions(elements, *formulas):
    return jnp.asarray(np.stack([Formula.parse(text).fractions(elements) for text in formulas]))


def test_groups_stand_in_their_ratio():
    yes = _fractions(ELEMENTS, "MoS2", "Mo0.3W0.7SSe", "LiWSe2")
    no = _fractions(ELEMENTS, "MoS3", "MoS", "LiS2")
    assert feasible(DICHALCOGENIDE, yes, 1e-12).all()
    assert not feasible(DICHALCOGENIDE, no, 1e-12).any()


def test_the_ratio_refuses_what_charge_balance_admits():
    elements = ["Mo", "S"]
    balance = MixedValence.of(elements, OxidationStates("by hand", {"Mo": (4, 6), "S": (-2,)}))
    both = All((balance, Ratio.of(elements, ["Mo"], ["S"], (1, 2))))
    x = _fractions(elements, "MoS3", "MoS2")
    assert feasible(balance, x, 1e-12).tolist() == [True, True]
    assert feasible(both, x, 1e-12).tolist() == [False, True]


def test_projections_are_those_of_a_quadratic_programme_and_stay():
    normal = np.asarray(DICHALCOGENIDE.normal)
    ys = np.random.default_rng(0).normal(size=(50, 5)) * 0.5 + 0.2
    found = DICHALCOGENIDE.project(jnp.asarray(ys))
    for x, y in zip(np.asarray(found), ys, strict=True):
        np.testing.assert_allclose(x, by_slsqp(normal, y), atol=1e-8)
    np.testing.assert_allclose(DICHALCOGENIDE.project(found), found, atol=1e-14)


def test_the_slack_has_the_slope_of_finite_differences():
    x, along = jnp.array([[0.2, 0.1, 0.3, 0.2, 0.2]]), jnp.array([[0.5, -1.0, 0.3, 0.1, 0.1]])
    slope = jax.grad(lambda x: DICHALCOGENIDE.slack(x)[0])(x)
    rise = (DICHALCOGENIDE.slack(x + 1e-6 * along) - DICHALCOGENIDE.slack(x - 1e-6 * along)) / 2e-6
    assert float(jnp.sum(slope * along)) == pytest.approx(float(rise[0]), abs=1e-9)


@pytest.mark.parametrize(
    ("left", "right", "parts", "complaint"),
    [
        (["Mo"], [], (1, 2), "neither empty"),
        (["Mo"], ["Mo", "S"], (1, 2), "common element"),
        (["Mo"], ["O"], (1, 2), "missing="),
        (["Mo"], ["S"], (1, 0), "not positive"),
        (["Mo"], ["S"], (1, float("nan")), "not positive"),
    ],
)
def test_ratios_that_say_nothing_are_refused(left, right, parts, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        Ratio.of(ELEMENTS, left, right, parts)
