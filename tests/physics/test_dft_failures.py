"""What cannot be calculated, what is tried again, and which moments are believed."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("gpaw")

from ase import Atoms
from ase.build import bulk

from physics.dft import calculation
from physics.dft.calculation import Request, single_point
from physics.dft.errors import SettingsError
from physics.dft.magnetism import starts
from physics.dft.settings import FAST

ACCOUNT = {"settings", "kpoints", "atoms", "electrons", "cores", "seconds"}
MESH = (1, 1, 1)


def converged(energy=-5.0, moment=0.0, absolute=None):
    magnitude = abs(moment) if absolute is None else absolute
    return {"energy_ev_per_atom": energy, "moment_mub": moment, "absolute_moment_mub": magnitude, "iterations": 5}


@pytest.fixture
def answers(monkeypatch):
    """Return a function that puts given answers or errors in the place of GPAW, and the list of what was asked."""
    asked = []

    def put(*given):
        left = list(given)

        def instead(atoms, settings, kpoints, start, request, mixing, width_ev):
            asked.append({"start": start, "mixing": mixing, "width_ev": width_ev})
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(calculation, "_converge", instead)
        return asked

    return put


@pytest.mark.parametrize("symbol", ["Tc", "Po", "At", "U"])
def test_an_element_without_paw_data_is_named(symbol, answers):
    asked = answers(converged())
    answer = single_point(Atoms([symbol, "Al"], [[0, 0, 0], [2, 2, 2]], cell=[4, 4, 4], pbc=True), FAST)
    assert f"no PAW data for {symbol}" in answer["failure"]
    assert answer["electrons"] is None and answer["kpoints"] is None
    assert set(answer) >= ACCOUNT
    assert not asked


@pytest.mark.parametrize(
    "atoms",
    [
        Atoms("Al2", [[0, 0, 0], [0.3, 0, 0]], cell=[4, 4, 4], pbc=True),
        Atoms("Al", cell=[0.4, 4, 4], pbc=True),
        Atoms("Al", cell=[4, 0.01, 4], pbc=True),
    ],
)
def test_overlapping_atoms_are_refused(atoms, answers):
    asked = answers(converged())
    assert "atoms overlap" in single_point(atoms, FAST)["failure"]
    assert not asked


def test_what_is_no_crystal_is_refused(answers):
    answers(converged())
    assert "not periodic" in single_point(Atoms("Al", cell=[4, 4, 4]), FAST)["failure"]
    assert "no atoms" in single_point(Atoms(cell=[4, 4, 4], pbc=True), FAST)["failure"]


def test_odd_electrons_need_smearing_or_spin(answers):
    answers(converged())
    fixed = replace(FAST, smearing_ev=0.0)
    assert "3 valence electrons are odd" in single_point(bulk("Al"), fixed)["failure"]
    assert "failure" not in single_point(bulk("Al"), FAST, Request(MESH))
    assert "failure" not in single_point(bulk("Si"), fixed, Request(MESH))


def test_retries_go_from_mixing_to_smearing_and_list_their_reasons(answers):
    from gpaw import KohnShamConvergenceError

    asked = answers(KohnShamConvergenceError("first"), np.linalg.LinAlgError("second"), converged(float("nan")))
    answer = single_point(bulk("Al"), FAST, Request(MESH))
    assert [one["width_ev"] for one in asked] == [0.2, 0.2, 0.4]
    assert asked[0]["mixing"] != asked[1]["mixing"]
    for reason in ("first", "exploded: second", "the energy is not finite"):
        assert reason in answer["failure"]
    assert set(answer) >= ACCOUNT


def test_fixed_occupations_stay_fixed(answers):
    from gpaw import KohnShamConvergenceError

    asked = answers(KohnShamConvergenceError())
    answer = single_point(bulk("Si"), replace(FAST, smearing_ev=0.0), Request(MESH))
    assert len(asked) == 2
    assert "KohnShamConvergenceError" in answer["failure"]


def test_a_far_off_energy_has_exploded_and_the_retry_is_reported(answers):
    answers(converged(-4000.0), converged(-3.7))
    answer = single_point(bulk("Al"), FAST, Request(MESH))
    assert answer["attempts"] == 2
    assert "-4000.0 eV/atom is beyond" in answer["retries"][0]


def test_a_collapsed_moment_is_tried_from_another_start(answers):
    asked = answers(converged(-7.0, 0.0), converged(-7.1, 0.6))
    answer = single_point(bulk("Ni"), FAST, Request(MESH))
    assert [one["start"].name for one in asked] == ["usual", "high spin, ferromagnetic"]
    assert answer["energy_ev_per_atom"] == -7.1
    assert answer["moment_collapsed"] is False
    assert [one["moment_mub"] for one in answer["spin_starts"]] == [0.0, 0.6]


def test_where_every_start_collapses_the_lowest_is_the_answer(answers):
    answers(converged(-7.1, 0.0), converged(-7.0, 0.01))
    answer = single_point(bulk("Ni"), FAST, Request(MESH))
    assert answer["energy_ev_per_atom"] == -7.1
    assert answer["moment_collapsed"] is True
    assert len(answer["spin_starts"]) == 2


def test_a_second_start_that_fails_does_not_spoil_the_first(answers):
    from gpaw import KohnShamConvergenceError

    answers(converged(-7.1, 0.0), KohnShamConvergenceError("no"))
    answer = single_point(bulk("Ni"), FAST, Request(MESH))
    assert answer["energy_ev_per_atom"] == -7.1
    assert "no" in answer["spin_starts"][1]["failure"]


def test_an_antiferromagnet_has_not_collapsed(answers):
    asked = answers(converged(-9.0, 0.0, absolute=2.0))
    answer = single_point(bulk("Cr", cubic=True), FAST, Request(MESH))
    assert len(asked) == 1
    assert answer["moment_collapsed"] is False


def test_an_unexpected_moment_is_the_wrong_spin(answers):
    asked = answers(converged(moment=0.6))
    request = Request(MESH, expected_moment_mub=-0.5)
    assert "failure" not in single_point(bulk("Ni"), FAST, request)
    wrong = single_point(bulk("Ni"), FAST, replace(request, expected_moment_mub=2.0))
    assert "wrong spin: moment 0.60 from start 'usual' is not the expected 2.00" in wrong["failure"]
    assert len(wrong["spin_starts"]) == 2
    assert len(asked) == 3


def test_spin_of_the_settings_decides():
    assert starts(bulk("Fe"), "off")[0].moments_mub is None
    assert starts(bulk("Al"), "auto")[0].moments_mub is None
    assert starts(bulk("Al"), "on")[0].moments_mub is not None
    assert starts(bulk("Fe"), "auto")[0].moments_mub == pytest.approx([2.5])
    assert starts(bulk("Al"), "auto", [0.3])[0].moments_mub == pytest.approx([0.3])


def test_stated_moments_must_fit():
    with pytest.raises(SettingsError, match="one an atom"):
        starts(bulk("Fe"), "auto", [1.0, 2.0])
    with pytest.raises(SettingsError, match="off"):
        starts(bulk("Fe"), "off", [1.0])
