"""Protocols, functionals and the rule of cutoffs."""

from dataclasses import replace

import pytest

from physics.dft.errors import MissingLibxcError, SettingsError
from physics.dft.settings import FAST, MODERATE, PRECISE, SETTINGS, DFTSettings, resolve, settings_of


def test_protocols_become_finer():
    assert list(SETTINGS) == ["fast", "moderate", "precise"]
    for coarse, fine in ((FAST, MODERATE), (MODERATE, PRECISE)):
        assert coarse.cutoff_ev < fine.cutoff_ev
        assert coarse.k_length_a < fine.k_length_a
        assert coarse.density_tolerance > fine.density_tolerance


def test_hard_elements_raise_the_cutoff_explicitly():
    assert resolve("fast", "PBE", ["Mg"]).cutoff_ev == FAST.cutoff_ev
    assert resolve("moderate", "PBE", ["Na", "Cl"]).cutoff_ev == 400.0
    assert resolve("precise", "PBE", ["Na", "Cl"]).cutoff_ev == 500.0
    for symbol in ("N", "O", "F"):
        assert resolve("fast", "LDA", ["Mg", symbol]).record()["cutoff_ev"] == 600.0


def test_functional_is_apart_from_the_protocol():
    changed = resolve("moderate", "r2SCAN", ["Si"])
    assert replace(changed, functional="PBE") == MODERATE


def test_a_record_is_taken_as_it_is_and_an_older_one_is_understood():
    assert settings_of({"settings": FAST.record()}, ["O"]) == FAST
    older = {key: value for key, value in FAST.record().items() if key != "spin"}
    assert settings_of({"settings": older}, []) == FAST
    assert settings_of({"settings": "fast", "functional": "LDA"}, ["O"]).cutoff_ev == 600.0


@pytest.mark.parametrize(
    "change", [{"functional": "PBEsol"}, {"spin": "up"}, {"cutoff_ev": 0.0}, {"smearing_ev": -0.1}, {"k_length_a": 0.0}]
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(SettingsError, match="use"):
        replace(FAST, **change)


def test_unknown_protocol_and_keys_are_refused():
    with pytest.raises(SettingsError, match=r"protocol='quick': use one of \['fast'"):
        resolve("quick")
    with pytest.raises(SettingsError, match="no others"):
        settings_of({"settings": {**FAST.record(), "cutoff": 3}}, [])


def test_a_functional_without_libxc_names_the_remedy(monkeypatch):
    pytest.importorskip("gpaw")
    from gpaw.xc import libxc

    from physics.dft.settings import require_functional

    def missing(name):
        raise NameError(f"Unable to use {name}: GPAW not compiled with LibXC!")

    monkeypatch.setattr(libxc, "LibXC", missing)
    require_functional("PBE")
    require_functional("LDA")
    with pytest.raises(MissingLibxcError, match=r"libxc-dev.*no-binary gpaw"):
        require_functional("r2SCAN")
    with pytest.raises(SettingsError, match="PBEsol"):
        require_functional("PBEsol")


def test_settings_are_values():
    assert DFTSettings(**PRECISE.record()) == PRECISE
