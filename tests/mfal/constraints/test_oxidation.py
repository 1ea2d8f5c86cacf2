from itertools import combinations_with_replacement, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.constraints.oxidation import Alloy, OxidationStates, charge_verdict, neutral_assignment, oxidation_states
from mfal.errors import ConstraintError, MissingExtraError
from mfal.space.formula import Formula


def _verdict(text, source="common", **own):
    formula = Formula.parse(text)
    return charge_verdict(formula, oxidation_states(list(formula.amounts), source, own))


@pytest.fixture(autouse=True)
def _table():
    pytest.importorskip("pymatgen")


@pytest.mark.parametrize(
    "text", ["NaCl", "Fe3O4", "BaTiO3", "MoS2", "MoS3", "NaClO4", "SO3", "Li0.5FeO1.75", "Ca5P3O12F"]
)
def test_neutral_formulas_are_admitted(text):
    assert _verdict(text).admits


@pytest.mark.parametrize("text", ["NaCl2", "Na2Cl", "Fe3O5", "BaTiO2", "Fe", "O2", "N2O"])
def test_other_formulas_are_refused(text):
    verdict = _verdict(text)
    assert not verdict.admits
    assert "not neutral" in verdict.reasons[0]


def test_magnetite_needs_two_valences():
    formula = Formula.parse("Fe3O4")
    found = neutral_assignment(formula, oxidation_states(["Fe", "O"]))
    assert found == {"Fe": (2, 3, 3), "O": (-2, -2, -2, -2)}
    assert "1 Fe+2 2 Fe+3" in _verdict("Fe3O4").reasons[0]
    assert neutral_assignment(formula, OxidationStates("iron(III) alone", {"Fe": (3,), "O": (-2,)})) is None


def test_mixed_valence_is_not_mixed_without_need():
    states = OxidationStates("by hand", {"Mo": (2, 3, 4, 5, 6), "S": (-2,)})
    assert neutral_assignment(Formula.parse("Mo2S4"), states) == {"Mo": (4, 4), "S": (-2,) * 4}


def test_a_state_between_two_needs_an_even_number_of_atoms():
    states = OxidationStates("by hand", {"Au": (1, 3), "O": (-2,)})
    assert neutral_assignment(Formula.parse("AuO"), states) is None
    assert neutral_assignment(Formula.parse("Au2O2"), states) == {"Au": (1, 3), "O": (-2, -2)}


def test_copper_oxide_shows_how_tables_differ():
    assert not _verdict("Cu2O").admits
    assert _verdict("Cu2O", "icsd").admits
    assert _verdict("Cu2O", Cu=(1, 2)).admits


def test_an_element_that_is_cation_and_anion_at_once_is_beyond_the_rule():
    # It passes as a hydride of N+5, which only a state given for hydrogen forbids.
    assert _verdict("NH4NO3").admits
    assert not _verdict("NH4NO3", H=(1,)).admits


def test_alloys_are_exempt_only_by_declaration():
    formula = Formula.parse("CoCrNi")
    assert not _verdict("CoCrNi").admits
    assert charge_verdict(formula, Alloy()).admits
    with pytest.raises(ConstraintError, match=r"wrong=\['O'\]"):
        charge_verdict(Formula.parse("CrO3"), Alloy())


@pytest.mark.parametrize(
    ("elements", "own", "complaint"),
    [
        (["He"], {}, "no common oxidation state"),
        (["Xx"], {}, "no element"),
        (["Xx"], {"Xx": (1,)}, "no element"),
        (["Fe"], {"Fe": ()}, "integers other than zero"),
        (["Fe"], {"Fe": (0, 2)}, "integers other than zero"),
    ],
)
def test_states_that_cannot_be_are_refused(elements, own, complaint):
    with pytest.raises(ConstraintError, match=complaint):
        oxidation_states(elements, given=own)


def test_an_element_without_states_is_named():
    with pytest.raises(ConstraintError, match="symbol='O' has no state"):
        neutral_assignment(Formula.parse("FeO"), oxidation_states(["Fe"]))


def test_smact_is_asked_where_it_is_installed():
    try:
        assert oxidation_states(["Fe", "O"], "smact").of("O")[0] == -2
    except MissingExtraError as error:
        assert "chemistry" in str(error)


_STATES = st.lists(st.integers(-4, 6).filter(bool), min_size=1, max_size=4, unique=True)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(_STATES, st.integers(1, 4)), min_size=1, max_size=3))
def test_assignments_agree_with_brute_force(parts):
    symbols = ["Fe", "O", "Cl"][: len(parts)]
    states = OxidationStates("drawn", {s: tuple(chosen) for s, (chosen, _) in zip(symbols, parts, strict=True)})
    formula = Formula({s: n for s, (_, n) in zip(symbols, parts, strict=True)})
    every = [
        [c for sign in (1, -1) for c in combinations_with_replacement([s for s in chosen if s * sign > 0], n)]
        for chosen, n in parts
    ]
    possible = any(sum(map(sum, choice)) == 0 for choice in product(*every))
    found = neutral_assignment(formula, states)
    assert (found is not None) == possible
    if found is not None:
        assert sum(map(sum, found.values())) == 0
        for symbol, (chosen, number) in zip(symbols, parts, strict=True):
            assert len(found[symbol]) == number
            assert set(found[symbol]) <= set(chosen)
            assert len({state > 0 for state in found[symbol]}) == 1
