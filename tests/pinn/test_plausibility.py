"""Rates that no matter has, because a unit was wrong, fail a check; those of a microstructure pass all."""

from dataclasses import replace

import numpy as np
import pytest

from pinn.estimate import Quantity
from pinn.phase_field.models import AllenCahn, CahnHilliard
from pinn.phase_field.plausibility import plausible
from pinn.series import ImageSeries
from tests.pinn.scenes import circle, estimate

SERIES = ImageSeries(circle(), 2.0 * np.arange(6.0), 0.2, "um", "s")


def failed(series, outcome):
    return {check.name for check in plausible(series, AllenCahn(), outcome) if not check.passed}


def with_width(width):
    """Return an outcome with an interface of this width."""
    outcome = estimate(SERIES)
    found = tuple(replace(q, value=width) if q.symbol == "interface width" else q for q in outcome.identified)
    return replace(outcome, identified=found)


def test_a_microstructure_passes():
    checks = plausible(SERIES, AllenCahn(), estimate(SERIES, scale=True))
    assert len(checks) == 6 and all(check.passed for check in checks)


@pytest.mark.parametrize(
    ("length_unit", "time_unit", "names"),
    [
        ("m", "s", {"diffusivity"}),
        ("um", "ns", set()),
        ("um", "ps", {"diffusivity", "speed of interfaces"}),
        ("pm", "s", {"interface of atoms"}),
    ],
)
def test_wrong_units_make_rates_impossible(length_unit, time_unit, names):
    series = replace(SERIES, length_unit=length_unit, time_unit=time_unit)
    assert failed(series, estimate(series)) == names


def test_relaxation_faster_than_atoms_vibrate_fails():
    # 1.2e-5 m^2/s across .25 nm takes 5e-15 s, at 5e4 m/s.
    series = replace(SERIES, time_unit="ns")
    assert failed(series, with_width(2.5e-4)) == {"relaxation", "speed of interfaces"}


def test_a_composition_diffuses_by_m_w():
    outcome = estimate(SERIES)
    checks = {check.name: check.statistic for check in plausible(SERIES, CahnHilliard(), outcome)}
    assert checks["diffusivity"] == pytest.approx(0.31e-12)


def test_an_interface_wider_than_the_window_fails_in_any_unit():
    wide = with_width(2.0)
    assert failed(SERIES, wide) == {"interface inside the window"}
    assert failed(replace(SERIES, pixel_size=0.1, length_unit="pixel", time_unit="frame"), wide) != set()


def test_an_interface_dearer_than_any_surface_fails():
    sigma = Quantity("sigma", 300.0, 1.0, "J/m^2", 298.0, 302.0)
    assert failed(SERIES, replace(estimate(SERIES), separate=(sigma,))) == {"interface energy"}
