"""The parts of the benchmarks of generated candidates: corpora, what is held out, scores and structures."""

import csv

import numpy as np
import pytest

pytest.importorskip("pymatgen")
pytest.importorskip("ase")

from benchmarks.constraints import dichalcogenides, feasibility, make_stability
from benchmarks.constraints.repeats import interval
from mfal.generate.corpus import Corpus
from mfal.generate.stability_table import StabilityTable
from mfal.space.formula import Formula


def test_the_dichalcogenides_are_all_valid_and_hold_what_is_known():
    corpus = Corpus.of(dichalcogenides.compositions())
    assert len(corpus.formulas) == len(dichalcogenides.compositions()) == 1116
    for text in ("MoS2", "WTe2", "MoSSe", "Mo0.5W0.5S2", "Mo3WS8", "Nb0.75Ta0.25Se1.5S0.5"):
        assert Formula.parse(text) in corpus
    assert Formula.parse("TiMoS4") not in corpus  # groups 4 and 6
    counts = np.rint(corpus.fractions * 12).astype(int)
    assert dichalcogenides.valid_share(corpus.elements, counts) == 1.0


def test_what_is_off_the_ratio_or_charged_is_invalid():
    elements = ("Mo", "Pd", "S")
    rows = np.array([[1, 0, 2], [1, 0, 3], [0, 1, 1], [0, 1, 2], [2, 0, 5], [3, 1, 8]])
    valid = [dichalcogenides.valid_share(elements, row[None]) for row in rows]
    assert valid == [1.0, 0.0, 0.0, 1.0, 0.0, 1.0]


def test_a_split_shares_no_composition():
    learnt, held_out = dichalcogenides.split(3)
    assert len(held_out) + len(learnt.formulas) == 1116
    assert not any(Formula(dict(zip(learnt.elements, row, strict=True))) in learnt for row in held_out)


def test_an_interval_is_that_of_student():
    found = interval("x", [1.0, 2.0, 3.0])
    # t(0.975, 2) = 4.3027, s/sqrt(3) = 0.57735
    assert found == {"x": 2.0, "x_low": -0.4841, "x_high": 4.4841}


def test_auroc_is_its_definition_with_ties():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 6, 80).astype(float), rng.random(80) < 0.4
    pairs = score[positive][:, None] - score[~positive]
    assert abs(feasibility.auroc(score, positive) - np.mean((pairs > 0) + 0.5 * (pairs == 0))) < 1e-12


@pytest.fixture
def known():
    pairs = [("Na", "Cl"), ("Mg", "O"), ("Al", "Ni"), ("Ti", "O"), ("K", "F"), ("Na", "F"), ("Al", "Ti"), ("Mg", "Cl")]
    formulas = [f"{a}{m}{b}{n}" for a, b in pairs for m, n in ((1, 1), (1, 2), (2, 1))]
    elements = tuple(sorted({symbol for pair in pairs for symbol in pair}))
    fractions = np.array([Formula.parse(text).fractions(elements) for text in formulas])
    return StabilityTable(tuple(formulas), elements, fractions, np.arange(len(formulas)) % 3 * 0.1)


def test_folds_are_disjoint_in_chemistry(known):
    every = np.zeros(len(known.formulas), dtype=int)
    for train, test in feasibility._held_out_systems(known):
        systems = feasibility.systems_of(known)
        assert not set(systems[train]) & set(systems[test])
        every += test
    assert (every == 1).all()
    for train, test in feasibility._held_out_elements(known):
        present = (known.fractions[train] > 0.0).any(axis=0)
        new = (known.fractions[test] > 0.0) & ~present
        assert new.any(axis=1).all()


def test_charge_balance_is_asked_of_every_source(known):
    scores = feasibility.charge_scores(known)
    neutral = dict(zip(known.formulas, scores[""], strict=True))
    assert (neutral["Na1Cl1"], neutral["Na1Cl2"], neutral["Mg1O1"], neutral["Ti1O2"], neutral["Mg1Cl2"]) == (
        1,
        0,
        1,
        1,
        1,
    )
    assert neutral["Al1Ni1"] == 0.0
    assert dict(zip(known.formulas, scores["or_alloy_"], strict=True))["Al1Ni1"] == 1.0


def test_samples_are_looked_up_as_binaries(known):
    x = np.full((2, len(known.elements)), 0.02)
    for row, (first, second) in enumerate((("Na", "Cl"), ("Al", "O"))):
        x[row, known.elements.index(first)], x[row, known.elements.index(second)] = 0.46, 0.44
    two = feasibility._two_largest(x)
    assert ((two > 0.0).sum(axis=1) == 2).all()
    counts = feasibility.nearest_counts(two, 5)
    found = feasibility._looked_up("s", known, counts, np.ones(len(known.formulas), bool))
    # NaCl is the first of its three formulas, and so stable here; Al-O is not in this table.
    assert found == {"s_in_table": 0.5, "s_stable_in_table": 1.0}


def test_structures_have_their_ratio_and_room():
    from ase.data import covalent_radii
    from ase.neighborlist import neighbor_list

    found = list(make_stability.structures("Ti", "O"))
    assert len(found) == len({one.name for one in found}) == 45
    formulas = {make_stability._reduced(one.atoms.get_chemical_formula()) for one in found}
    assert formulas == {"TiO", "TiO2", "Ti2O", "TiO3", "Ti3O", "Ti2O3", "Ti3O2"}
    for one in found:
        first, second, distance = neighbor_list("ijd", one.atoms, 6.0)
        radii = covalent_radii[one.atoms.numbers]
        assert abs((distance / (radii[first] + radii[second])).min() - make_stability._CLOSEST) < 1e-6


def test_pairs_leave_out_molecules():
    pairs = make_stability.pairs()
    assert len(pairs) == len({frozenset(pair) for pair in pairs}) == 33 * 32 // 2 + 33 * 11
    assert not any(set(pair) <= set(make_stability.NONMETALS) for pair in pairs)


def test_the_lowest_of_a_formula_counts(tmp_path):
    rows = [("screened", "Ti2O4", "0.2"), ("screened", "TiO2", "0.05"), ("element", "Ti", "0"), ("screened", "TiO", "")]
    with (tmp_path / "table.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("role", "formula", "energy_above_hull_ev_per_atom"), *rows])
    assert make_stability.lowest(tmp_path / "table.csv") == {"TiO2": 0.05}
