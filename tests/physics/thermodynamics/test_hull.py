"""Energies above the hull: by hand, and against a linear programme for each entry."""

import numpy as np
import pytest
from pymatgen.core import Composition
from scipy.optimize import linprog

from physics.thermodynamics.hull import (
    Entry,
    HullError,
    MissingElementError,
    decompositions,
    energies_above_hull,
)


def entry(composition, energy, name=None):
    return Entry(composition, energy, name or composition)


def by_linear_programme(entries, phases):
    """Return energies above the cheapest mixture of all phases, one programme an entry."""
    elements = sorted({element for phase in phases for element in Composition(phase.composition).as_dict()})

    def fractions(phase):
        return [Composition(phase.composition).get_atomic_fraction(element) for element in elements]

    matrix = np.array([fractions(phase) for phase in phases]).T
    costs = [phase.energy_ev_per_atom for phase in phases]
    cheapest = [linprog(costs, A_eq=matrix, b_eq=fractions(one), method="highs").fun for one in entries]
    return np.array([one.energy_ev_per_atom for one in entries]) - cheapest


def some(rng, count, elements, largest):
    """Return random compounds, with repeated compositions and several of one plane."""
    found = []
    for number in range(count):
        chosen = rng.choice(elements, size=int(rng.integers(1, largest + 1)), replace=False)
        formula = "".join(f"{element}{rng.integers(1, 5)}" for element in chosen)
        formation = 0.3 if len(chosen) == 1 else rng.choice([-1.0, rng.uniform(-1, 0.2)])
        found.append(entry(formula, -5 + float(formation), f"{formula}-{number}"))
    return found


BINARY = [entry("Al", -3.0), entry("Ni", -5.0)]


def test_binary_by_hand():
    # formation energies: AlNi -0.6; Al3Ni -0.2 is 0.1 above the line to AlNi; AlNi3 -0.3 lies on it
    entries = [entry("AlNi", -4.6), entry("Al3Ni", -3.7), entry("AlNi3", -4.8), entry("Al", -2.9), entry("Al2Ni", -3.0)]
    above = energies_above_hull(entries, BINARY)
    np.testing.assert_allclose(above, [0, 0.1, 0, 0.1, -3.0 - (-11 / 3 - 0.4)], atol=1e-12)
    texts = decompositions(entries, BINARY)
    assert texts[0] == "1 AlNi"
    assert texts[1] == "0.5 Al + 0.5 AlNi"
    assert texts[3] == "1 Al"
    assert texts[4] == "0.6667 AlNi + 0.3333 Al"


def test_ternary_by_hand():
    elements = [entry("Na", 0.0), entry("K", 0.0), entry("Cl", 0.0)]
    entries = [entry("NaCl", -2.0), entry("KCl", -2.2), entry("NaKCl2", -2.05), entry("NaK", 0.3), entry("NaKCl", -1)]
    above = energies_above_hull(entries, elements)
    # NaKCl: a third Na over KCl beats a third K over NaCl
    np.testing.assert_allclose(above, [0, 0, 0.05, 0.3, -1 + 2 / 3 * 2.2], atol=1e-12)
    texts = decompositions(entries, elements)
    assert texts[2] == "0.5 KCl + 0.5 NaCl"
    assert texts[4] == "0.6667 KCl + 0.3333 Na"


def test_entry_that_makes_the_hull_is_at_zero_however_deep():
    assert energies_above_hull([entry("AlNi", -400.0)], BINARY).tolist() == [0.0]


def test_polymorphs_are_measured_from_the_lowest_whatever_the_formula():
    entries = [entry("AlNi", -4.6), entry("Al4Ni4", -4.5, "B33"), entry("Al0.5Ni0.5", -4.65, "L10"), entry("Ni2", -5.5)]
    above = energies_above_hull(entries, BINARY)
    np.testing.assert_allclose(above, [0.05, 0.15, 0, 0], atol=1e-12)
    assert decompositions(entries, BINARY)[:2] == ["1 L10", "1 L10"]


def test_positive_formation_decomposes_into_the_elements():
    assert energies_above_hull([entry("AlNi", -3.5)], BINARY) == pytest.approx(0.5)
    assert decompositions([entry("AlNi", -3.5)], BINARY) == ["0.5 Al + 0.5 Ni"]


def test_references_may_hold_compounds_and_entries_elements():
    assert energies_above_hull([entry("Al3Ni", -3.7), *BINARY], [entry("AlNi", -4.6)]) == pytest.approx([0.1, 0, 0])


def test_elements_alone_and_nothing():
    assert energies_above_hull([entry("Al", -3.0), entry("Al2", -2.5)]).tolist() == [0.0, 0.5]
    assert energies_above_hull([]).shape == (0,)
    assert decompositions([], BINARY) == []


def test_a_compound_elsewhere_changes_nothing():
    entries = [entry("Al3Ni", -3.7), entry("AlNi", -4.6)]
    alone = energies_above_hull(entries, BINARY)
    more = [entry("O", -1.0), entry("Al2O3", -9.0), entry("NiO", -8.0), entry("AlNiO", -9.0)]
    np.testing.assert_allclose(energies_above_hull([*entries, *more], BINARY)[:2], alone, atol=1e-12)


@pytest.mark.parametrize("size, count, seed", [(2, 25, 0), (3, 40, 1), (3, 80, 2), (4, 60, 3), (4, 120, 4), (5, 60, 5)])
def test_random_systems_agree_with_a_linear_programme(size, count, seed):
    elements = ["Li", "Mg", "Al", "O", "Cl"][:size]
    references = [entry(element, -5.0) for element in elements]
    entries = some(np.random.default_rng(seed), count, elements, size)
    above = energies_above_hull(entries, references)
    np.testing.assert_allclose(above, np.maximum(by_linear_programme(entries, entries + references), 0), atol=1e-8)
    assert (above > 0.01).sum() > count / 5
    assert above.min() == 0  # never -1e-17
    for text, one, height in zip(decompositions(entries, references), entries, above, strict=True):
        shares = [part.split(" ") for part in text.split(" + ")]
        known = {phase.name: phase for phase in [*entries, *references]}
        energy = sum(float(share) * known[name].energy_ev_per_atom for share, name in shares)
        assert energy == pytest.approx(one.energy_ev_per_atom - height, abs=3e-3)  # shares have four digits
        for element in elements:
            held = sum(float(s) * Composition(known[n].composition).get_atomic_fraction(element) for s, n in shares)
            assert held == pytest.approx(Composition(one.composition).get_atomic_fraction(element), abs=1e-3)


def test_total_energies_of_all_electrons_lose_no_digits():
    offsets = {"Li": -200.0, "Mg": -5400.0, "Al": -6600.0, "O": -2000.0}

    def shifted(phase):
        held = Composition(phase.composition)
        offset = sum(energy * held.get_atomic_fraction(element) for element, energy in offsets.items())
        return entry(phase.composition, phase.energy_ev_per_atom + offset, phase.name)

    entries = some(np.random.default_rng(8), 80, list(offsets), 4)
    references = [entry(element, -5.0) for element in offsets]
    heavy, light = [shifted(one) for one in entries], [shifted(one) for one in references]
    expected = energies_above_hull(entries, references)
    np.testing.assert_allclose(energies_above_hull(heavy, light), expected, atol=1e-9)
    assert (energies_above_hull(heavy, light) == 0).sum() == (expected == 0).sum()


def test_overlapping_systems_agree_with_a_linear_programme():
    rng = np.random.default_rng(7)
    elements = ["Li", "Na", "Mg", "Al", "Si", "O", "S", "Cl"]
    references = [entry(element, -5.0) for element in elements]
    entries = some(rng, 150, elements, 3)
    expected = np.maximum(by_linear_programme(entries, entries + references), 0)
    np.testing.assert_allclose(energies_above_hull(entries, references), expected, atol=1e-8)
    order = rng.permutation(len(entries))
    shuffled = energies_above_hull([entries[i] for i in order], references)
    np.testing.assert_allclose(shuffled, energies_above_hull(entries, references)[order], atol=1e-12)


def test_missing_element_is_named_with_the_remedy():
    with pytest.raises(MissingElementError, match=r"Ni, O.*as a reference") as caught:
        energies_above_hull([entry("AlNi", -4.6), entry("NiO", -5.0)], [entry("Al", -3.0)])
    assert caught.value.elements == ("Ni", "O")
    with pytest.raises(MissingElementError):
        decompositions([entry("AlNi", -4.6)])


@pytest.mark.parametrize(
    "bad, word",
    [
        (entry("AlNi", float("nan")), "not finite"),
        (entry("AlNi", float("inf")), "not finite"),
        (entry("Nonsense", -1.0), "no formula"),
        (entry("", -1.0, "empty"), "no formula"),
        (entry("Al0", -1.0), "no formula"),
        (entry("Al-1", -1.0), "no formula"),
        (entry("LiNaKRbMgCaSrBaAlGaIn", -1.0), "11 elements"),
    ],
)
def test_entries_without_meaning_are_refused(bad, word):
    with pytest.raises(HullError, match=word):
        energies_above_hull([bad], BINARY)
