"""An interface that comes into the images from outside: the network answers alone, and says what it knows."""

import numpy as np
import pytest

from benchmarks.inverse.truth import integrate
from pinn.phase_field import entering
from pinn.phase_field.fit import fit
from pinn.phase_field.models import AllenCahn, Camera
from pinn.phase_field.network import Effort
from pinn.series import ImageSeries
from pinn.training.continuation import Plan
from pinn.training.first_order import Schedule

KNOWN = Camera(1.0, 0.0, 0.0)
GRADIENT, WELL, NOISE = 100.0, 200 / 9, 0.02


@pytest.fixture(scope="module")
def sweep():
    """Sixteen frames of 12 x 12 pixels, through which the boundary of a grain sweeps that was outside at first."""
    place = np.arange(80) / 2 - 20.0
    distance = np.hypot(place[:, None], place[None, :])
    times = np.linspace(0.0, 1.0, 16)
    fields = integrate(0.5 * (1 - np.tanh((distance - 15.0) / 3.0)), GRADIENT, WELL, 0.0, 0.5, times)[:, ::2, ::2]
    return ImageSeries(fields[:, 20:32, 14:26] + NOISE * np.random.default_rng(0).standard_normal((16, 12, 12)), times)


def test_a_network_that_was_hardly_trained_is_not_trusted(monkeypatch, sweep):
    monkeypatch.setattr(entering, "EFFORT", Effort((6, 6), 500, Plan(Schedule(20, 5e-3, 64), (0.1,), 2, 64)))
    assert entering.enters(sweep, AllenCahn("open"))
    estimate = fit(sweep, AllenCahn("open"), KNOWN, backend="pinn")
    assert not estimate.trusted and "approximate" in estimate.intervals
    assert {"converged", "white residuals", "same again", "equation held"} <= {check.name for check in estimate.checks}
    assert estimate.fitted.shape == sweep.frames.shape and estimate.initial.shape == (12, 12)


def test_a_solver_that_runs_away_says_nothing(sweep):
    estimate = fit(sweep, AllenCahn("open"), KNOWN)
    assert not estimate.trusted and estimate.identified == () and "do not give M kappa" in estimate.ridge


@pytest.mark.slow
def test_rates_lie_within_their_intervals_where_no_solver_can_begin(sweep):
    estimate = fit(sweep, AllenCahn("open"), KNOWN, backend="pinn")
    assert estimate.trusted, estimate.failed
    for quantity, truth in zip(estimate.identified, (GRADIENT, WELL), strict=False):
        assert abs(quantity.value / truth - 1.0) < 0.05
        assert abs(quantity.value - truth) < 4.0 * quantity.sd
    np.testing.assert_allclose(estimate.noise_sd, NOISE, rtol=0.1)
