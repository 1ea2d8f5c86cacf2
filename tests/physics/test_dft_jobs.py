"""Job kinds: JSON in, JSON out, real GPAW on tiny settings, and a made-up potential where only our logic counts."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gpaw")

from ase.build import bulk

from physics.dft.band_gap import band_gap_job, gap_of
from physics.dft.cell import cell_job
from physics.dft.elastic import elastic_job
from physics.dft.equation_of_state import equation_of_state_job
from physics.dft.errors import SettingsError
from physics.dft.gpaw import single_point_job
from physics.dft.settings import FAST
from physics.prototypes import as_record, elemental_reference

TINY = replace(FAST, cutoff_ev=200.0, k_length_a=6.0).record()
ALUMINIUM = {"structure": as_record(elemental_reference("Al")), "settings": TINY}
SILICON = {"structure": as_record(bulk("Si")), "settings": TINY}


@pytest.fixture
def springs(monkeypatch):
    """Put a cubic crystal of known elasticity in the place of GPAW; return the meshes that were asked for."""
    from physics.dft import potential, pulay

    meshes = []

    def instead(atoms, settings, request):
        meshes.append(request.kpoints)
        factor = atoms.get_volume() / len(atoms) / 16.0
        stress = 80.0 * (factor - 1) * np.eye(3)
        values = {"energy_ev_per_atom": -4.0 + 4.0 * (factor - 1) ** 2, "moment_mub": 0.0, "kpoints": [3, 3, 3]}
        vectors = {"forces_ev_per_a": np.zeros((len(atoms), 3)).tolist(), "stress_gpa": stress.tolist()}
        return values | vectors | {"atoms": len(atoms), "electrons": 3, "cores": 1, "seconds": 1.0, "settings": TINY}

    monkeypatch.setattr(potential, "single_point", instead)
    monkeypatch.setattr(pulay, "single_point", instead)
    return meshes


def test_every_answer_is_json_and_can_be_priced():
    answer = single_point_job(ALUMINIUM)
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert (answer["atoms"], answer["electrons"], answer["cores"]) == (1, 3, 1)
    assert len(answer["kpoints"]) == 3 and answer["seconds"] > 0
    assert answer["settings"] == TINY


def test_a_relaxed_volume_stays_on_its_mesh():
    answer = single_point_job(ALUMINIUM | {"kpoints": [3, 3, 3], "relax_volume": True})
    assert answer["kpoints"] == [3, 3, 3]
    assert answer["calculations"] == 3
    volume = abs(np.linalg.det(answer["structure"]["cell"]))
    assert volume == pytest.approx(answer["volume_factor"] * elemental_reference("Al").get_volume())


def test_silicon_has_an_indirect_gap_and_aluminium_none():
    silicon = band_gap_job(SILICON | {"kpoints": [4, 4, 4]})
    assert 0.4 < silicon["gap_ev"] < 1.0  # PBE: 0.6
    assert silicon["direct_gap_ev"] > silicon["gap_ev"]
    assert not silicon["metal"]
    assert np.allclose(silicon["gap_kpoints"][0], 0)
    aluminium = band_gap_job(ALUMINIUM)
    assert aluminium["metal"] and aluminium["gap_ev"] == 0.0


def test_gaps_of_made_up_bands():
    bands = np.array([[[0.0, 3.0], [1.0, 2.5]]])
    found = gap_of(bands, 1.5)
    assert found["gap_ev"] == 1.5 and found["direct_gap_ev"] == 1.5 and found["places"] == [1, 1]
    assert gap_of(bands, 2.7)["metal"]  # above a band at one point, below it at the other
    assert gap_of(np.concatenate([bands, bands + 0.75]), 1.8)["gap_ev"] == 0.75  # between the spins


def test_cell_relaxes_to_the_volume_of_no_stress(springs):
    squeezed = elemental_reference("Al")
    squeezed.set_cell(squeezed.cell * (15.0 / squeezed.get_volume()) ** (1 / 3), scale_atoms=True)
    answer = cell_job({"structure": as_record(squeezed), "settings": TINY, "fmax_ev_per_a": 0.002})
    assert answer["volume_a3_per_atom"] == pytest.approx(16.0, rel=2e-3)
    assert answer["calculations"] == answer["steps"] + 2 == len(springs)  # two for the stress of the basis
    assert len(set(springs)) == 1


def test_stress_of_the_basis_is_taken_off(monkeypatch):
    from physics.dft import pulay
    from physics.dft.calculation import Request
    from physics.dft.potential import GpawPotential

    def instead(atoms, settings, request):
        return {"energy_ev_per_atom": -0.3 * np.log(settings.cutoff_ev), "seconds": 1.0}

    monkeypatch.setattr(pulay, "single_point", instead)
    found = pulay.corrected(GpawPotential(FAST, Request()), elemental_reference("Al"))
    assert isinstance(found, GpawPotential)
    assert found.pulay_ev_per_atom == pytest.approx(-0.2, rel=1e-3)


def test_a_relaxation_without_end_is_a_failure(springs):
    answer = cell_job(ALUMINIUM | {"max_steps": 1, "fmax_ev_per_a": 1e-6})
    assert "not converged after 1 steps" in answer["failure"]
    assert answer["seconds"] == 3.0


def test_equation_of_state_is_on_one_mesh(springs):
    answer = equation_of_state_job(ALUMINIUM)
    assert answer["volume_a3_per_atom"] == pytest.approx(16.0, rel=1e-3)
    assert answer["bulk_modulus_gpa"] == pytest.approx(8.0 / 16.0 * 160.2176634, rel=1e-2)
    assert len(springs) == answer["calculations"] == 7 and len(set(springs)) == 1
    assert json.dumps(answer, allow_nan=False)


def test_a_minimum_outside_the_volumes_is_refused(springs):
    wide = elemental_reference("Al")
    wide.set_cell(wide.cell * (17.5 / wide.get_volume()) ** (1 / 3), scale_atoms=True)
    answer = equation_of_state_job({"structure": as_record(wide), "settings": TINY})
    assert "outside the volumes scanned" in answer["failure"]
    assert answer["seconds"] == 7.0


def test_too_few_volumes_are_refused():
    with pytest.raises(SettingsError, match="at least 7"):
        equation_of_state_job(ALUMINIUM | {"volumes": 5})


def test_a_failed_volume_fails_the_curve():
    answer = equation_of_state_job(ALUMINIUM | {"settings": TINY | {"max_iterations": 1}, "kpoints": [1, 1, 1]})
    assert "did not converge in 1 iterations" in answer["failure"]
    assert answer["calculations"] == 1  # the others are not paid for


def test_elastic_constants_of_springs(springs):
    answer = elastic_job(ALUMINIUM)
    bulk_modulus = np.array(answer["stiffness_gpa"])[:3, :3].mean()
    assert bulk_modulus == pytest.approx(80.0, rel=2e-2)
    assert len(set(springs)) == 1
    assert answer["stable"] is False and answer["averages"] is None  # springs resist no shear


@pytest.mark.parametrize("job", [cell_job, elastic_job, equation_of_state_job])
def test_a_structure_that_is_no_crystal_is_a_failure_that_cost_nothing(job):
    flat = {**ALUMINIUM["structure"], "pbc": [True, True, False]}
    answer = job(ALUMINIUM | {"structure": flat})
    assert "not periodic in three directions" in answer["failure"]
    assert set(answer) >= {"atoms", "electrons", "cores", "kpoints", "seconds"}
    assert answer["seconds"] < 0.1


@pytest.mark.parametrize("job", [cell_job, elastic_job])
def test_unvalidated_stress_is_not_used(job):
    answer = job(ALUMINIUM | {"settings": "fast", "functional": "r2SCAN"})
    assert "stress of r2SCAN is not validated" in answer["failure"]
