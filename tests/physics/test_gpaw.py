"""GPAW: one quick calculation, k-point meshes, failure."""

from dataclasses import replace

import pytest

pytest.importorskip("gpaw")

from physics.dft.calculation import single_point
from physics.dft.gpaw import single_point_job
from physics.dft.mesh import kpoint_counts
from physics.dft.settings import FAST, MODERATE, SETTINGS
from physics.prototypes import as_record, build, elemental_reference

COARSE = replace(FAST, k_length_a=10.0)


def test_aluminium_is_deterministic():
    first, second = (single_point(elemental_reference("Al"), COARSE) for _ in range(2))
    assert first["energy_ev_per_atom"] == second["energy_ev_per_atom"]
    assert first["energy_ev_per_atom"] == pytest.approx(-3.73, abs=0.05)
    assert first["moment_mub"] == 0.0
    assert first["seconds"] > 0


def test_volume_is_relaxed():
    squeezed = elemental_reference("Al")
    squeezed.set_cell(squeezed.cell * 0.97 ** (1 / 3), scale_atoms=True)
    spec = {"structure": as_record(squeezed), "settings": COARSE.record(), "relax_volume": True}
    answer = single_point_job(spec)
    assert 1.0 < answer["volume_factor"] < 1.06
    assert answer["energy_ev_per_atom"] <= single_point(squeezed, COARSE)["energy_ev_per_atom"]


def test_no_convergence_is_an_answer():
    answer = single_point(elemental_reference("Al"), replace(COARSE, max_iterations=2))
    assert "did not converge in 2 iterations" in answer["failure"]


def test_meshes_are_fine_enough_and_keep_the_symmetry():
    assert kpoint_counts(elemental_reference("Al"), 9.0) == (4, 4, 4)
    a, _, c = kpoint_counts(build("B33", "Zr", "Pt", 18.0), 18.0)
    assert a % c == 0 or c % a == 0
    assert kpoint_counts(elemental_reference("Al"), 18.0) == (8, 8, 8)


def test_named_settings():
    assert SETTINGS["fast"].cutoff_ev < SETTINGS["moderate"].cutoff_ev
    assert {settings.functional for settings in SETTINGS.values()} == {"PBE"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second", "edge_a", "converged"), [("Sc", "Pt", 3.30, -1.198), ("Al", "Rh", 3.0, -1.045)]
)
def test_formation_energy_of_b2_is_near_the_converged_one(first, second, edge_a, converged):
    compound = build("B2", first, second, edge_a**3 / 2)
    spec = {"structure": as_record(compound), "settings": MODERATE.record(), "relax_volume": True}
    elements = [single_point(elemental_reference(symbol), MODERATE)["energy_ev_per_atom"] for symbol in (first, second)]
    assert single_point_job(spec)["energy_ev_per_atom"] - sum(elements) / 2 == pytest.approx(converged, abs=0.05)
