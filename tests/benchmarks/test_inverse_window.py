"""The arms of the window that an interface enters run and know what they are given; errors are measured elsewhere."""

import numpy as np
import pytest

from benchmarks.inverse import window
from benchmarks.inverse.edges import rates_with_measured_edges
from benchmarks.inverse.truth import integrate
from pinn.advisor import advise, situation_of
from pinn.phase_field import entering as entering_fit
from pinn.phase_field.models import AllenCahn
from pinn.phase_field.network import Effort
from pinn.series import ImageSeries
from pinn.training.continuation import Plan
from pinn.training.first_order import Schedule


@pytest.fixture(scope="module")
def entering():
    """A smaller grain with rates a = 100 and b = 200/9 on a coarser grid, and hardly any noise."""
    place = np.arange(40) - 20.0
    distance = np.hypot(place[:, None], place[None, :])
    times = np.linspace(0.0, 1.0, 16)
    fields = integrate(0.5 * (1 - np.tanh((distance - 15.0) / 3.0)), 100.0, 200 / 9, 0.0, 1.0, times)
    noise = 0.001 * np.random.default_rng(0).standard_normal((16, 12, 12))
    return ImageSeries(fields[:, 20:32, 14:26] + noise, times)


def test_the_solver_with_measured_edges_is_near(entering):
    found = rates_with_measured_edges(entering, np.array([60.0, 10.0]))
    np.testing.assert_allclose(found, [100.0, 200 / 9], rtol=0.05)


@pytest.mark.slow
def test_the_network_runs_and_says_rates(monkeypatch, entering):
    plan = Plan(Schedule(20, 5e-3, 64), (0.1,), 2, 64)
    monkeypatch.setattr(entering_fit, "EFFORT", Effort((6, 6), 500, plan))
    arm = window.by_network(entering, 0)
    assert len(arm.rates) == 2 and arm.seconds > 0
    # After twenty steps it fits nothing, and says so.
    assert "white residuals" in arm.failed


@pytest.mark.slow
def test_an_advisor_that_sees_the_window_names_the_network():
    series = window.window(0)
    assert advise(situation_of(series, AllenCahn("open"), window.CAMERA)).backend == "pinn"
    assert np.ptp(np.percentile(series.frames[0], (2, 98))) < 0.2 < np.ptp(np.percentile(series.frames[-4], (2, 98)))
