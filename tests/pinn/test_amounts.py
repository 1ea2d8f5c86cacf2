"""Amounts as people type them."""

import pytest

from pinn.amounts import duration, energy_density, interface_energy, known_unit, length
from pinn.errors import DataRefusedError
from pinn.units import SECONDS


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("0.2um", 0.2, "um"),
        ("0.2 µm", 0.2, "um"),
        (".5nm", 0.5, "nm"),
        ("3e-1 Å", 0.3, "angstrom"),
        ("1.5 micron", 1.5, "um"),
    ],
)
def test_lengths(text, value, unit):
    found = length(text, "--pixel-size")
    assert (found.value, found.unit) == (value, unit)


def test_energies_are_in_si_units():
    assert energy_density("2 MJ/m^3", "x").value == energy_density("2e6 Pa", "x").value == 2e6
    assert energy_density("-3 J/cm3", "x").value == -3e6
    assert interface_energy("300 mJ/m2", "x").value == pytest.approx(0.3)


def test_uncertainties_are_read():
    found = energy_density("2.0 +- 0.1 MJ/m^3", "--driving-force")
    assert (found.value, found.sd, found.unit) == (2e6, 1e5, "J/m^3")
    assert interface_energy("0.3 ± 0.02 J/m^2", "x").sd == pytest.approx(0.02)
    assert energy_density("2 MJ/m^3", "x").sd == 0.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.2", "has no unit; write it as '0.2um'"),
        ("um", "no number with a unit"),
        ("0.2 furlong", "is none of m, cm, mm"),
        ("0 um", "is not positive"),
        ("-1 um", "is not positive"),
        ("1e999 um", "is not finite"),
        ("1 +- 0.1 um", "has no place for an uncertainty"),
    ],
)
def test_lengths_that_are_none_are_refused(text, message):
    with pytest.raises(DataRefusedError) as caught:
        length(text, "--pixel-size")
    assert message in str(caught.value) and str(caught.value).startswith("--pixel-size")


def test_molar_energies_name_the_remedy():
    with pytest.raises(DataRefusedError, match="divide by the molar volume"):
        energy_density("100 J/mol", "--driving-force")
    with pytest.raises(DataRefusedError, match="none of"):
        duration("2 um", "--frame-time")
    with pytest.raises(DataRefusedError, match="uncertainty"):
        energy_density("2 +- -1 MJ/m^3", "--driving-force")


def test_units_of_files_are_known_by_their_other_names():
    assert [known_unit(name, SECONDS) for name in ("sec", "seconds", "minute", "µs", "?")] == [
        "s",
        "s",
        "min",
        "us",
        None,
    ]
