"""Table ``[constraints]``: who is refused, with which reason, and that it holds wherever candidates enter."""

import json
import tomllib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.campaign.config import load, parse
from mfal.campaign.constraints import ConstraintsSection
from mfal.campaign.feasibility import answers, refusals
from mfal.campaign.plugins import build_pool, named_pool
from mfal.cli import main
from mfal.errors import CampaignFileError, ConstraintError
from tests import synthetic

pytest.importorskip("pymatgen")
EXAMPLE = Path("examples/intermetallics.toml")


def section(**content):
    return ConstraintsSection.model_validate(content)


def reasons(section, formula):
    return answers(section, [formula])[formula]


@pytest.mark.parametrize(
    ("content", "admitted", "refused", "words"),
    [
        ({"elements": ["Ni", "Co", "Cr"]}, "NiCo2Cr", "FeNi", "Fe"),
        ({"most_elements": 2}, "NiCo", "NiCoCr", "3 elements"),
        ({"least_elements": 2}, "NiCo", "Ni3", "1 elements"),
        ({"fraction": [{"of": ["Ni"], "at_least": 0.5}]}, "NiCo", "NiCo2", "Ni >= 0.5"),
        ({"fraction": [{"of": ["Ni", "Co"], "at_most": 0.5}]}, "NiCoCr2", "NiCoCr", "Ni + Co <= 0.5"),
        ({"fraction": [{"of": ["Pt"], "at_least": 0.1}]}, "Pt", "NiCo", "Pt >= 0.1"),
        ({"ratio": [{"of": ["Mo", "W"], "to": ["S", "Se"], "amounts": [1, 2]}]}, "MoWS3Se", "MoS3", "1 : 2"),
        ({"charge": "balanced"}, "Fe3O4", "NaCl2", "not neutral"),
        ({"charge": "balanced", "oxidation_states": {"Fe": [2]}}, "FeO", "Fe2O3", "not neutral"),
        ({"charge": "alloy"}, "CoCrNi", "NiO", "declared an alloy"),
    ],
)
def test_one_condition(content, admitted, refused, words):
    found = section(**content)
    assert reasons(found, admitted) == ""
    assert words in reasons(found, refused)
    assert refusals(found, [admitted, refused]).keys() == {refused}


def test_all_reasons_are_told():
    found = section(most_elements=2, fraction=[{"of": ["Ni"], "at_least": 0.5}], charge="balanced")
    assert len(reasons(found, "NiCoCr").split("; ")) == 3


@given(st.lists(st.integers(0, 6), min_size=4, max_size=4).filter(any), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=200, deadline=None)
def test_linear_conditions_beside_plain_arithmetic(amounts, least, most):
    elements = ("Ni", "Co", "Cr", "Fe")
    formula = "".join(f"{symbol}{number}" for symbol, number in zip(elements, amounts, strict=True) if number)
    share = (amounts[0] + amounts[1]) / sum(amounts)
    found = section(fraction=[{"of": ["Ni", "Co"], "at_least": least, "at_most": most}])
    expected = share < least - 1e-8 or share > most + 1e-8
    close = min(abs(share - least), abs(share - most)) < 1e-8
    assert close or bool(reasons(found, formula)) == expected


def test_a_table_at_once_is_each_formula_by_itself():
    found = section(most_elements=3, fraction=[{"of": ["Ni"], "at_most": 0.5}],
                    ratio=[{"of": ["Co"], "to": ["Cr"], "amounts": [1, 1]}])  # fmt: skip
    counts = [c for c in product(range(4), repeat=4) if any(c)]
    formulas = [
        "".join(f"{s}{n}" for s, n in zip(("Ni", "Co", "Cr", "Fe"), c, strict=True) if n) for c in counts
    ]  # fmt: skip
    together = refusals(found, formulas)
    rng = np.random.default_rng(0)
    for formula in rng.choice(formulas, 60, replace=False):
        assert together.get(str(formula), "") == reasons(found, str(formula))


def test_one_formula_that_cannot_be_read_spoils_no_other():
    found = answers(section(most_elements=2), ["NiCo", "Xx2", "NiCoCr"])
    assert found["NiCo"] == "" and "Xx" in found["Xx2"] and "3 elements" in found["NiCoCr"]


def test_a_conflict_is_of_the_conditions_not_of_a_formula():
    """Without Pt a formula misses its bound; it does not make the conditions impossible."""
    assert reasons(section(fraction=[{"of": ["Pt"], "at_least": 0.4}]), "NiCo") == "Pt >= 0.4 is missed by 0.4"
    clash = [{"of": ["Pt"], "at_least": 0.6}, {"of": ["Ir"], "at_least": 0.5}]
    assert "exclude" in reasons(section(fraction=clash), "PtIr") or "together" in reasons(
        section(fraction=clash), "PtIr"
    )


elements = st.sampled_from(["Ni", "Co", "Cr", "Fe", "O", "S"])
groups = st.lists(elements, min_size=1, max_size=3, unique=True)
tables = st.fixed_dictionaries(
    {},
    optional={
        "elements": st.lists(elements, min_size=1, unique=True),
        "least_elements": st.integers(1, 3),
        "most_elements": st.integers(1, 5),
        "charge": st.sampled_from(["balanced", "alloy"]),
        "oxidation_states": st.dictionaries(elements, st.lists(st.integers(-2, 6).filter(bool), min_size=1)),
        "fraction": st.lists(st.fixed_dictionaries({"of": groups, "at_most": st.floats(0, 1)}), max_size=2),
        "ratio": st.lists(
            st.fixed_dictionaries({"of": st.just(["Ni"]), "to": st.just(["O"]), "amounts": st.just([1, 2])}), max_size=1
        ),
        "structure": st.fixed_dictionaries(
            {}, optional={"closest": st.floats(0.1, 1.0), "symmetry_tolerance_a": st.floats(1e-3, 0.5)}
        ),
        "stability": st.fixed_dictionaries(
            {"tolerance_ev_per_atom": st.floats(0, 1), "error_ev_per_atom": st.just({"chgnet": 0.07})}
        ),
    },
)


def toml(value):
    """Return a value as people write it in a campaign file."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(entry)}" for key, entry in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


@given(tables)
@settings(max_examples=100, deadline=None)
def test_every_constraint_round_trips_through_file_and_ledger(table):
    """TOML to table to JSON to table: nothing is lost, and the same formulas are refused for the same reasons."""
    raw = {**synthetic.RAW, "constraints": table}
    config = parse(
        tomllib.loads("\n".join(f"{key} = {toml(value)}" for key, value in raw.items())), Path("synthetic.toml")
    )
    recorded = json.loads(json.dumps(config.model_dump(mode="json")))
    again = type(config).model_validate(recorded)
    assert again == config
    formulas = ["NiO", "NiCoCr", "Fe3O4"]
    assert answers(again.constraints, formulas) == answers(section(**table), formulas)


@pytest.mark.parametrize("formula", ["Xx2", "", "Ni-1", "NinanCo", "Ni(Co", "Ni0"])
def test_what_is_no_formula_is_refused(formula):
    assert reasons(section(most_elements=2), formula)
    with pytest.raises(ConstraintError):
        refusals(section(most_elements=2), [formula])


def campaign(tmp_path, table):
    file = tmp_path / "campaign.toml"
    file.write_text(EXAMPLE.read_text().replace("[compute]", f"{table}\n\n[compute]"))
    return file


TABLE = """[constraints]
charge = "alloy"

[[constraints.fraction]]
of = ["Pt", "Ir"]
at_least = 0.4"""
STABLE = "\n[constraints.stability]\n"


def test_the_pool_holds_only_who_is_admitted(tmp_path):
    config = load(campaign(tmp_path, TABLE))
    named, kept = named_pool(config), build_pool(config)
    assert set(kept.ids) == {name for name in named.ids if "Pt" in name or "Ir" in name}
    rows = [named.index(name) for name in kept.ids]
    np.testing.assert_array_equal(kept.descriptors, named.descriptors[rows])
    assert set(kept.payload) == set(kept.ids)


def test_the_table_survives_the_ledger(tmp_path):
    config = load(campaign(tmp_path, TABLE))
    assert type(config).model_validate(config.model_dump(mode="json")) == config


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.replace("at_least = 0.4", "at_least = 0.6"), "refuse all 86 candidates"),
        (TABLE + "\n\n[[constraints.fraction]]\nof = ['Al']\nat_least = 0.7", "0.7"),
        (TABLE.replace("at_least", "at_lest"), "did you mean 'at_least'"),
        (TABLE.replace("0.4", "1.4"), "at_least = 1.4"),
        (TABLE.replace("0.4", "nan"), "finite"),
        (TABLE.replace("at_least = 0.4", ""), "at_least, at_most or both"),
        (TABLE.replace("alloy", "alloys"), "'balanced' or 'alloy'"),
        (TABLE + "\n[constraints.structure]\ndensity_g_cm3 = [9, 1]", "least, greatest"),
        (
            TABLE + "\n[constraints.stability]\ntolerance_ev_per_atom = 0.1\nerror_ev_per_atom = {chgnet = -1.0}",
            "from 0",
        ),
        (TABLE + "\n[constraints.stability]\nerror_ev_per_atom = {chgnet = 0.1}", "tolerance_ev_per_atom"),
        ("[[constraints.ratio]]\nof = ['Pt']\nto = ['Pt']\namounts = [1, 2]", "common element"),
    ],
)
def test_a_wrong_table_is_refused_with_its_line(tmp_path, table, words):
    with pytest.raises(CampaignFileError, match=words):
        build_pool(load(campaign(tmp_path, table)))


def test_candidates_without_composition_are_refused_by_name():
    synthetic.register()
    config = parse({**synthetic.RAW, "constraints": {"most_elements": 2}}, Path("synthetic.toml"))
    with pytest.raises(CampaignFileError, match="c00"):
        build_pool(config)


def test_check_says_why_and_exits_with_1(tmp_path, capsys):
    assert main(["check", "MoS2", "Fe3O4"]) == 0
    assert main(["check", "MoS2", "NaCl2"]) == 1
    assert "NaCl2  refused: NaCl2 is not neutral" in capsys.readouterr().out
    (tmp_path / "formulas.txt").write_text("TiPt\n\nAlNi\n")
    file = campaign(tmp_path, TABLE)
    assert main(["check", str(tmp_path / "formulas.txt"), "--campaign", str(file)]) == 1
    assert "TiPt  admitted\nAlNi  refused: Pt + Ir >= 0.4" in capsys.readouterr().out
    assert main(["check", "--campaign", str(file)]) == 1
    assert capsys.readouterr().out.count("admitted") == 21
    assert main(["check"]) == 1
