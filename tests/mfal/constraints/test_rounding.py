from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.constraints.oxidation import Alloy, OxidationStates, neutral_assignment
from mfal.constraints.rounding import IntegerFormulas
from mfal.constraints.stoichiometry import Ratio
from mfal.errors import ConstraintError
from mfal.space.formula import Formula

STATES = OxidationStates(
    "by hand", {"Fe": (2, 3), "O": (-2,), "Mo": (4, 6), "S": (-2, 4, 6), "Au": (1, 3), "Cl": (-1, 1)}
)


def _by_brute_force(elements, states, one_to_two, atoms):
    """Try every formula one by one, by the rules written out for people."""
    for counts in product(range(atoms + 1), repeat=len(elements)):
        if not 1 <= sum(counts) <= atoms:
            continue
        formula = Formula(dict(zip(elements, counts, strict=True)))
        kept = not one_to_two or 2 * sum(counts[:2]) == sum(counts[2:])
        if kept and (states is None or neutral_assignment(formula, states)):
            yield np.array(counts)


@pytest.mark.parametrize(
    ("elements", "charge", "with_ratio", "atoms"),
    [
        (["Fe", "Mo", "O", "S"], STATES, False, 8),
        (["Fe", "Mo", "O", "S"], STATES, True, 9),
        (["Au", "S", "Cl"], STATES, False, 10),
        (["Au", "Fe", "Mo"], Alloy(), False, 8),
    ],
)
def test_the_nearest_formula_is_that_of_brute_force(elements, charge, with_ratio, atoms):
    ratio = Ratio.of(elements, elements[:2], elements[2:], (1, 2)) if with_ratio else None
    states = None if isinstance(charge, Alloy) else charge
    every = np.array(list(_by_brute_force(elements, states, with_ratio, atoms)))
    table = IntegerFormulas.of(elements, charge, [ratio] if ratio else [], atoms)
    goals = np.random.default_rng(0).dirichlet(np.ones(len(elements)), size=200)
    found = table.nearest(goals)
    shares = every / every.sum(axis=1, keepdims=True)
    least = np.linalg.norm(goals[:, None] - shares, axis=-1).min(axis=1)
    np.testing.assert_allclose(
        np.linalg.norm(found / found.sum(axis=1, keepdims=True) - goals, axis=1), least, atol=1e-9
    )
    assert {tuple(row) for row in found} <= {tuple(row) for row in every}


def test_rounding_keeps_a_formula_and_prefers_the_small_one():
    table = IntegerFormulas.of(["Fe", "O"], STATES, [], 14)
    np.testing.assert_array_equal(
        table.nearest(np.array([[3 / 7, 4 / 7], [0.5, 0.5], [0.42, 0.58]])), [[3, 4], [1, 1], [5, 7]]
    )
    again = table.nearest(table.counts / table.counts.sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(again, table.counts)


def test_a_formula_that_is_neutral_only_when_doubled_is_doubled():
    table = IntegerFormulas.of(["Au", "O"], STATES, [], 8)
    assert str(table.formula(np.array([0.5, 0.5]))) == "Au2O2"


def test_molybdenum_sulphides_need_the_ratio_besides_the_charge():
    goal = np.array([0.26, 0.74])
    assert str(IntegerFormulas.of(["Mo", "S"], STATES, [], 12).formula(goal)) == "MoS3"
    ratio = Ratio.of(["Mo", "S"], ["Mo"], ["S"], (1, 2))
    assert str(IntegerFormulas.of(["Mo", "S"], STATES, [ratio], 12).formula(goal)) == "MoS2"


def test_alloys_are_rounded_without_charges_once_declared():
    table = IntegerFormulas.of(["Co", "Cr", "Ni"], Alloy(), [], 6)
    assert str(table.formula(np.array([0.34, 0.33, 0.33]))) == "CoCrNi"
    with pytest.raises(ConstraintError, match="wrong="):
        IntegerFormulas.of(["Co", "O"], Alloy(), [], 6)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0.0, 1.0), min_size=4, max_size=4).filter(any))
def test_every_rounded_formula_can_be_assigned(fractions):
    table = IntegerFormulas.of(["Fe", "Au", "O", "Cl"], STATES, [], 9)
    assert neutral_assignment(table.formula(np.array(fractions)), STATES) is not None


@pytest.mark.parametrize("row", [[-0.1, 1.1], [np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0]])
def test_what_are_no_fractions_is_refused(row):
    table = IntegerFormulas.of(["Fe", "O"], STATES, [], 5)
    with pytest.raises(ConstraintError, match="simplex"):
        table.nearest(np.array([row]))


@pytest.mark.parametrize(
    ("elements", "atoms", "complaint"),
    [
        (["Fe", "Au"], 8, "no formula"),
        (["Fe", "O"], 1, "no formula"),
        (["Fe", "O"], 0, "atoms=0"),
        (["Fe"] * 9, 40, "allow 1"),
    ],
)
def test_enumerations_that_are_empty_or_endless_are_refused(elements, atoms, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        IntegerFormulas.of(elements, STATES, [], atoms)
