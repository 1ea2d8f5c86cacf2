from fractions import Fraction

import pytest

from mfal.laboratory.units import accepted_units, factor


@pytest.mark.parametrize(
    ("unit", "to", "expected"),
    [
        ("meV/atom", "eV/atom", Fraction(1, 1000)),
        ("eV", "meV", Fraction(1000)),
        ("MPa", "GPa", Fraction(1, 1000)),
        ("kbar", "GPa", Fraction(1, 10)),
        ("N/mm^2", "MPa", Fraction(1)),
        ("HV", "HV", Fraction(1)),
    ],
)
def test_exact_units_convert(unit, to, expected):
    assert factor(unit, to) == expected


@pytest.mark.parametrize(
    ("unit", "to"), [("kJ/mol", "eV/atom"), ("eV", "eV/atom"), ("GPa", "HV"), ("ev/atom", "eV/atom"), ("", "eV")]
)
def test_others_are_refused(unit, to):
    assert factor(unit, to) is None


def test_the_campaigns_unit_is_named_first():
    assert accepted_units("GPa")[0] == "GPa"
    assert accepted_units("HV") == ["HV"]
