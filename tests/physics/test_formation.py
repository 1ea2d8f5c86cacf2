"""CHGNet's ground states: against calorimetry, for many at once as for each alone; what cannot be relaxed says so."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("chgnet")

from physics.experiment.replay import measured_compounds
from physics.mlip import formation
from physics.mlip.chgnet_potential import ChgnetPotential
from physics.mlip.formation import Compound, chgnet_jobs, lowest
from physics.mlip.potential import Outcome, Refusal
from physics.mlip.weights import load_weights
from physics.prototypes import PROTOTYPES

FORMULAS = ("ScPt", "AlNi", "ZrPt")
SOME = ("B2", "L10", "B33")


@pytest.fixture(scope="module")
def potential():
    return ChgnetPotential(load_weights(), "0.3.0", 2_400)


@pytest.fixture(scope="module")
def measured():
    return {item.formula: item for item in measured_compounds() if item.formula in FORMULAS}


@pytest.fixture(scope="module")
def answers(potential, measured):
    """Return what is said of three compounds and their elements, asked together."""
    compounds = [Compound(*measured[formula].elements, SOME) for formula in FORMULAS]
    elements = sorted({symbol for formula in FORMULAS for symbol in measured[formula].elements})
    return dict(zip([*FORMULAS, *elements], lowest([*compounds, *elements], potential), strict=True))


def test_formation_energies_are_near_the_measured_ones(answers, measured):
    for formula in FORMULAS:
        elements = [answers[symbol]["energy_ev_per_atom"] for symbol in measured[formula].elements]
        value = answers[formula]["energy_ev_per_atom"] - sum(elements) / 2
        assert value == pytest.approx(measured[formula].formation_energy_ev_per_atom, abs=0.25)


def test_the_lowest_prototype_is_told_with_its_rivals(answers):
    for formula in FORMULAS:
        above = answers[formula]["prototypes"]
        assert above[answers[formula]["prototype"]] == 0.0 and min(above.values()) > -1e-3
        assert {label.partition(":")[0] for label in above} == set(SOME) <= set(PROTOTYPES)
        assert len(answers[formula]["structure"]["numbers"]) in (2, 4)
    assert answers["AlNi"]["prototype"] == "B2:Al" and answers["AlNi"]["space_group"] == 221
    assert "prototype" not in answers["Al"] and answers["Al"]["space_group"] == 225


@pytest.mark.slow
def test_one_alone_is_told_the_same(answers, potential, measured):
    (alone,) = lowest([Compound(*measured["ZrPt"].elements, SOME)], potential)
    among = answers["ZrPt"]
    assert alone["energy_ev_per_atom"] == pytest.approx(among["energy_ev_per_atom"], abs=1e-4)
    assert (alone["prototype"], alone["space_group"]) == (among["prototype"], among["space_group"])


def test_a_queue_asks_for_many(answers, monkeypatch, potential):
    monkeypatch.setattr(formation, "_chgnet", {"0.3.0": potential}.__getitem__)
    specs = [{"elements": ["Al", "Ni"], "prototypes": list(SOME), "weights": "0.3.0"}]
    specs.append({"element": "Al", "weights": "0.3.0"})
    for found, name in zip(chgnet_jobs(specs), ("AlNi", "Al"), strict=True):
        assert found["energy_ev_per_atom"] == pytest.approx(answers[name]["energy_ev_per_atom"], abs=1e-4)


class Broken:
    """A potential whose relaxations all end in one way."""

    def __init__(self, potential, end):
        self.predict, self.end = potential.predict, end
        self.true = potential.relax

    def relax(self, structures, settings):
        """Relax, then break the end."""
        return [self.end(one) for one in self.true(structures, settings)]


def shrunk(relaxation):
    atoms = relaxation.atoms.copy()
    atoms.set_cell(atoms.cell * 0.5, scale_atoms=True)
    return replace(relaxation, atoms=atoms)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda one: Refusal("something is wrong with it"), "something is wrong"),
        (lambda one: replace(one, outcome=Outcome.EXPLODED), "exploded in"),
        (shrunk, "volume changed by the factor 0.1"),
    ],
)
def test_nothing_relaxes_is_a_failure(potential, monkeypatch, end, words):
    (found,) = lowest([Compound("Al", "Ni", ("B2",))], Broken(potential, end))
    assert words in found["failure"] and "AlNi" in found["failure"] and "B2:Al" in found["failure"]


def test_a_volume_that_is_refused_is_scanned_past():
    factor, energy = formation._parabola(np.arange(5.0), np.array([np.inf, 3.0, 2.0, np.inf, 9.0]))
    assert (factor, energy) == (2.0, 2.0)
    factor, energy = formation._parabola(np.arange(5.0), np.array([4.0, 1.0, 0.0, 1.0, 4.0]) + 1.0)
    assert (factor, energy) == pytest.approx((2.0, 1.0))
