"""Parts of the screening benchmark that can be wrong without being seen: sets, ratios, missing peers, errors."""

import sys

import numpy as np
import pytest
from ase import Atoms

from benchmarks.record import UnavailableError
from benchmarks.screening import beside
from benchmarks.screening.accuracy import Computed, accuracy_figures
from benchmarks.screening.agreement import differences, relaxation_agreement
from benchmarks.screening.apart import Peers, left_out
from benchmarks.screening.cells import mixture, perovskites
from benchmarks.screening.devices import only
from benchmarks.screening.experiment import SOLIDS, primitive
from benchmarks.screening.floor import floor_figures
from benchmarks.screening.ours import Relaxed, covered, relaxation_figures, single_point_figures
from benchmarks.screening.peers import PeerRelaxation, batch_figures, needing
from benchmarks.screening.ratios import ratios, relaxation_times
from benchmarks.screening.tasks import CPU, GPU, SMOKE
from physics.mlip.potential import Outcome, Prediction, Refusal, Relaxation


def relaxation(steps, energy=-1.0, outcome=Outcome.CONVERGED):
    return Relaxation(Atoms(), Prediction(energy, np.zeros((1, 3)), np.zeros((3, 3))), steps, outcome)


def test_sets_have_the_sizes_that_they_name():
    sizes = [len(atoms) for atoms in perovskites(400, 1)]
    assert set(sizes) == {5, 10, 15, 20} and np.mean(sizes) == pytest.approx(14, abs=1)
    sizes = [len(atoms) for atoms in mixture(40, 1)]
    assert min(sizes) >= 4 and max(sizes) <= 60 and len(set(sizes)) > 8


def test_the_first_of_a_set_do_not_depend_on_how_many_are_drawn():
    few, many = SMOKE.draw("perovskites", 3), GPU.draw("perovskites", 9)
    assert len(many) == 9 and all(a == b for a, b in zip(few, CPU.draw("perovskites", 3), strict=True))
    for one, other in zip(few, many, strict=False):
        np.testing.assert_array_equal(one.positions, other.positions)


def test_ratios_are_their_time_over_ours_and_absent_without_it():
    figures = {"ms_per_single_point": 0.1, "chgnet_batch_ms_per_single_point": 9.0}
    assert ratios(figures) == {"ratio_chgnet_batch": pytest.approx(90)}


def test_times_of_a_set():
    points = single_point_figures("mixture", 4, first=3.0, again=0.2, device=0.1)
    assert points["ms_per_single_point_mixture"] == 50 and points["compile_s_mixture"] == 2.8
    relaxed = Relaxed([relaxation(10), Refusal("no"), relaxation(30, outcome=Outcome.EXPLODED)], 2.0, 0.5)
    figures = relaxation_figures("perovskites", relaxed)
    assert figures["relaxations_per_hour"] == 3600 and figures["relax_mean_steps"] == 20
    assert figures["ms_per_structure_step"] == 50 and figures["relax_outcomes"] == {"converged": 1, "exploded": 1}


def test_the_time_of_ase_is_scaled_by_the_steps_that_its_few_take_in_ours():
    ours = Relaxed([relaxation(10), Refusal("no"), relaxation(20), relaxation(90)], 4.0, 0.0)
    theirs = [PeerRelaxation(6.0, 11, -1.0, True), PeerRelaxation(99.0, 1, 0.0, True)]
    figures = relaxation_times(ours, [*theirs, PeerRelaxation(12.0, 25, -1.0, True)])
    assert figures["ase_relaxed"] == 2 and figures["ase_relax_s"] == pytest.approx(18 / 30 * 40)
    assert figures["ase_relax_ms_per_step"] == 500 and figures["relax_s"] == pytest.approx(4 / 3)
    assert relaxation_times(ours, []) == {"relax_s": pytest.approx(4 / 3)}


def test_the_best_batch_size_that_fits():
    figures = batch_figures("perovskites", 10, 1.0, {16: 3.0, 64: 2.0, 128: None})
    assert figures["chgnet_batch_size"] == 64 and figures["chgnet_batch_ms_per_single_point"] == 300
    assert batch_figures("perovskites", 10, 1.0, {128: None}) == {}


def test_missing_peers_leave_their_figures_out(capsys):
    def part():
        with needing("a package"):
            raise ImportError("nothing here")

    with pytest.raises(UnavailableError, match="a package"):
        part()
    assert left_out(part, {}) == {} and "a package" in capsys.readouterr().err
    assert left_out(lambda: {}["energy"], []) == [] and "KeyError" in capsys.readouterr().err
    ours = {"ms_per_single_point": 1.0}
    alone = beside(ours, Relaxed([relaxation(5)], 1.0, 0.0), Peers({"peer_device": "cpu"}), "cpu")
    assert not [name for name in alone if name.startswith("ratio")]


def test_torch_sim_and_mace_may_be_missing(monkeypatch):
    from benchmarks.screening.peers_mace import mace_batched, torch_sim_batched

    for name in ("mace", "torch_sim"):
        monkeypatch.setitem(sys.modules, name, None)
    for part in (mace_batched, torch_sim_batched):
        with pytest.raises(UnavailableError):
            part(SMOKE)


def test_peers_on_another_device_are_not_compared_with(capsys):
    peers = Peers({"peer_device": "cpu", "ase_ms_per_single_point": 60.0})
    assert beside({"ms_per_single_point": 0.1}, Relaxed([relaxation(5)], 1.0, 0.0), peers, "gpu") == {}
    assert "device" in capsys.readouterr().err


def test_agreement_counts_what_both_relaxed():
    ours = [relaxation(5, -1.0), relaxation(5, -2.0), relaxation(5, -3.0, Outcome.NOT_CONVERGED), Refusal("no")]
    theirs = [PeerRelaxation(1.0, 5, energy, True) for energy in (-1.0005, -2.5, -3.0, -4.0)]
    found = relaxation_agreement(ours, theirs)
    assert found["relax_compared"] == 2 and found["relax_agreement"] == 0.5
    one, other = (Prediction(e, np.full((2, 3), f), np.zeros((3, 3))) for e, f in ((-1.0, 0.0), (-1.25, 0.5)))
    assert differences([(one, one), (one, other)])["max_abs_energy_error_ev_per_atom"] == 0.25
    assert differences([]) == {} == relaxation_agreement(ours, [])


def test_the_floor_is_the_slower_of_computing_and_moving():
    figures = floor_figures(2e9, 1e8, {"floor_tflop_s": 50.0, "floor_gb_s": 2000.0})
    assert figures["floor_compute_ms_per_single_point"] == pytest.approx(0.04)
    assert figures["floor_ms_per_single_point"] == figures["floor_move_ms_per_single_point"] == pytest.approx(0.05)


def test_one_device_can_be_shown_alone():
    import jax

    every = jax.local_devices()
    with only(1):
        assert jax.local_devices() == every[:1]
    assert jax.local_devices() == every


def test_errors_of_solids():
    exact = {name: Computed(solid.lattice_a, solid.bulk_gpa, solid.stiffness_gpa) for name, solid in SOLIDS.items()}
    figures = accuracy_figures("m", exact)
    assert figures["mape_lattice_pct_m"] == figures["mape_bulk_pct_m"] == figures["mape_elastic_pct_m"] == 0
    assert figures["spearman_bulk_m"] == pytest.approx(1) and figures["solids_m"] == 13
    soft = exact | {"Al": Computed(4.032 * 1.13, 79.4 / 2, None)}
    figures = accuracy_figures("m", soft)
    assert figures["mape_lattice_pct_m"] == pytest.approx(1) and figures["worst_bulk_pct_m"] == "Al -50"


def test_measured_values_are_consistent():
    for name, solid in SOLIDS.items():
        atoms = primitive(name)
        cubic = {"fcc": 4, "bcc": 2, "perovskite": 1}.get(solid.prototype, 4)
        assert atoms.get_volume() * cubic == pytest.approx(solid.lattice_a**3)
        if solid.stiffness_gpa is not None:
            c11, c12, _ = solid.stiffness_gpa
            assert (c11 + 2 * c12) / 3 == pytest.approx(solid.bulk_gpa, rel=0.08), name


def test_compilations_at_the_same_time_count_once():
    assert covered([(0.0, 2.0), (5.0, 6.0), (1.0, 4.0), (1.5, 3.0)]) == 5.0
    assert covered([]) == 0.0
