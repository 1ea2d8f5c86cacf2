import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.errors import ConstraintError
from mfal.space.formula import ELEMENTS, Formula, formula_of, integer_counts


@pytest.mark.parametrize(
    ("text", "amounts"),
    [
        ("Fe3O4", {"Fe": 3, "O": 4}),
        ("Ba(Ti0.9Zr0.1)O3", {"Ba": 1, "Ti": 0.9, "Zr": 0.1, "O": 3}),
        ("K4[Fe(CN)6]", {"K": 4, "Fe": 1, "C": 6, "N": 6}),
        ("CuSO4·5H2O", {"Cu": 1, "S": 1, "O": 9, "H": 10}),
        ("CuSO4 * .5 H2O", {"Cu": 1, "S": 1, "O": 4.5, "H": 1}),
        ("Li0.5Va0.5CoO2", {"Li": 0.5, "Co": 1, "O": 2}),
        ("CH3COOH", {"C": 2, "H": 4, "O": 2}),
        ("Ni0.50Co.5", {"Ni": 0.5, "Co": 0.5}),
    ],
)
def test_amounts_are_read(text, amounts):
    found = Formula.parse(text).amounts
    assert set(found) == set(amounts)
    assert all(found[symbol] == pytest.approx(amounts[symbol]) for symbol in amounts)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "holds no atom"),
        ("Vac2", "holds no atom"),
        ("Fe0", "holds no atom"),
        ("Xx2O", "unknown element 'Xx'"),
        ("Na-1Cl", "'-'"),
        ("nan", "'n'"),
        ("2", "holds no atom"),
        ("Fe(O", "leaves '\\(' open"),
        ("FeO)", "not open"),
        ("Fe(O]", "not open"),
        ("Fe(2)", "'2'"),
        ("Fe2+", "'\\+'"),
    ],
)
def test_what_is_no_formula_is_refused_by_name(text, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        Formula.parse(text)


@pytest.mark.parametrize(
    ("amounts", "complaint"),
    [
        ({"Fe": float("nan")}, "finite"),
        ({"Fe": float("inf")}, "finite"),
        ({"Fe": -1.0}, "not negative"),
        ({"Q": 1.0}, "no element"),
        ({"Vac": 1.0}, "no atom"),
        ({}, "no atom"),
    ],
)
def test_amounts_that_cannot_be_are_refused(amounts, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        Formula(amounts)


def test_fractions_follow_the_order_that_is_asked_for():
    np.testing.assert_allclose(Formula.parse("Fe3O4").fractions(["O", "Na", "Fe"]), [4 / 7, 0.0, 3 / 7])
    with pytest.raises(ConstraintError, match="missing="):
        Formula.parse("Fe3O4").fractions(["O"])
    with pytest.raises(ConstraintError, match="more than once"):
        Formula.parse("Fe3O4").fractions(["Fe", "O", "O"])


def test_molar_mass_of_magnetite():
    pytest.importorskip("pymatgen")
    assert Formula.parse("Fe3O4").mass == pytest.approx(231.53, abs=0.01)


def test_fractions_that_are_no_integers_stay_fractions():
    assert str(formula_of(["Ni", "Co"], np.array([0.123456, 0.876544]))) == "Ni0.123456Co0.876544"
    assert str(formula_of(["Mo", "Cl", "S"], np.array([1 / 3, 0.0, 2 / 3]))) == "MoS2"
    with pytest.raises(ConstraintError, match="one fraction an element"):
        formula_of(["Ni"], np.array([0.5, 0.5]))


def test_amounts_are_multiplied_up_to_integers():
    assert integer_counts(Formula.parse("Ni0.5Fe2.5O4")) == {"Ni": 1, "Fe": 5, "O": 8}
    with pytest.raises(ConstraintError, match="no integer multiple"):
        integer_counts(Formula({"Ni": 0.123456789, "O": 1.0}))


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(ELEMENTS), st.integers(1, 6), min_size=1, max_size=5))
def test_text_and_fractions_lead_back_to_the_formula(amounts):
    formula = Formula(amounts)
    assert Formula.parse(str(formula)).amounts == formula.amounts
    elements = list(amounts)
    again = formula_of(elements, formula.fractions(elements))
    np.testing.assert_allclose(again.fractions(elements), formula.fractions(elements), atol=1e-12)
    assert formula.atoms % again.atoms == 0.0
