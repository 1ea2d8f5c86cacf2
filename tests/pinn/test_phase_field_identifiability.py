"""What series cannot tell is not told: flat interfaces, blurred ones, and a separation that only coarsens."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import made
import numpy as np
import pytest

from physics.phase_field.energy import profile
from physics.phase_field.equations import CahnHilliard as Separation
from physics.phase_field.evolve import evolve, schedule
from physics.phase_field.grid import Grid
from physics.phase_field.observe import blurred
from pinn.amounts import Measured
from pinn.phase_field.fit import fit
from pinn.phase_field.laplace import information
from pinn.phase_field.models import AllenCahn, CahnHilliard, Camera
from pinn.phase_field.nuts import sample
from pinn.phase_field.pose import pose
from pinn.phase_field.problem import Maximum
from pinn.phase_field.solver import maximise
from pinn.phase_field.start import pixel_noise
from pinn.series import ImageSeries

KNOWN = Camera(1.0, 0.0, 0.0)


def symbols(estimate):
    return {quantity.symbol for quantity in estimate.identified}


def test_flat_interface_gives_no_rate():
    """An interface at rest shows at most l = sqrt(2 kappa/W); nothing in it has a time."""
    width, x = 3.0, np.arange(48.0)
    clean = np.asarray(profile(jnp.asarray(np.abs(x - 23.5) - 11.5), width))
    frames = np.repeat(clean[None], 12, axis=0) + 0.02 * np.random.default_rng(0).normal(size=(12, 48))
    start = profile(jnp.asarray(np.abs(x - 23.5) - 11.5), width)
    series = ImageSeries(frames, np.arange(12.0))
    estimate = fit(series, AllenCahn(edge="no-flux"), KNOWN, np.asarray(start))
    assert symbols(estimate) <= {"interface width"}
    assert estimate.separate == ()
    assert "do not give M kappa and M W" in estimate.ridge


def test_interface_below_the_point_spread_function_gives_m_kappa_only():
    clean = jnp.asarray(made.fields())
    seen = np.asarray(blurred(clean, Grid(clean.shape[1:]), jnp.asarray(3.0**2), False))
    noisy = seen + 0.01 * np.random.default_rng(0).normal(size=seen.shape)
    energy = Measured(0.5, 0.01, "J/m^2")
    model = AllenCahn(interface_energy=energy)
    estimate = fit(replace(made.series(), frames=noisy), model, Camera(1.0, 0.0, 3.0), np.asarray(clean[0]))
    assert symbols(estimate) == {"M kappa"}
    assert estimate.separate == ()
    assert [check.name for check in estimate.checks if not check.passed] == ["interface resolved"]


def test_noise_is_read_from_images_with_interfaces_and_gaps():
    frames = made.series().frames
    missing = np.where(np.random.default_rng(3).random(frames.shape) < 0.02, np.nan, frames)
    # 3500 windows of nine pixels: the median is known to 3 %.
    for images in (frames, missing):
        assert pixel_noise(images) == pytest.approx(made.NOISE, rel=0.1)


@pytest.fixture(scope="module")
def separating():
    """A composition that separates, on 24 x 24 pixels."""
    times, waves = np.linspace(0.0, 30.0, 9), made.fields()[0]
    equation = Separation(jnp.asarray(1.2), jnp.asarray(0.7))
    start = jnp.asarray(0.5 + 0.3 * (waves - 0.5))
    frames = jax.jit(evolve)(start, equation, Grid((24, 24)), schedule(times, 0.05))
    return ImageSeries(np.asarray(frames), times, 0.1, "um", "s")


def test_separation_gives_both_rates_and_with_an_interface_energy_all(separating):
    noisy = separating.frames + 0.02 * np.random.default_rng(0).normal(size=separating.frames.shape)
    model = CahnHilliard(interface_energy=Measured(0.5, 0.0, "J/m^2"))
    estimate = fit(replace(separating, frames=noisy), model, KNOWN, separating.frames[0])
    found = {quantity.symbol: quantity for quantity in (*estimate.identified, *estimate.separate)}
    assert found["M kappa"].unit == "um^4/s"
    width = np.sqrt(2 * 1.2 / 0.7) * 1e-7  # metres
    kappa = 3 * 0.5 * width
    truth = {"M kappa": 1.2e-4, "M W": 0.7e-2, "kappa": kappa, "W": 6 * 0.5 / width, "M": 1.2e-28 / kappa}
    for symbol, value in truth.items():
        assert abs(found[symbol].value - value) < 4 * found[symbol].sd, (found[symbol], value)
    assert estimate.trusted, estimate.checks


@pytest.mark.slow
def test_window_of_a_larger_scene_is_fitted_with_what_lies_beyond_unknown():
    data = made.series()
    window = replace(data, frames=data.frames[:, 4:20, 4:20])
    estimate = fit(window, AllenCahn(edge="open", margin_px=6), KNOWN)
    found = {quantity.symbol: quantity for quantity in estimate.identified}
    for symbol, truth in (("M kappa", made.GRADIENT * made.UM_PER_PX**2), ("M W", made.WELL)):
        assert abs(found[symbol].value - truth) < 4 * found[symbol].sd, found[symbol]
    assert estimate.trusted, estimate.checks


@pytest.mark.slow
def test_samples_have_the_moments_of_the_gaussian_where_data_are_many():
    problem = pose(made.series(), AllenCahn(), KNOWN, made.fields()[0])
    key = jax.random.key(0)
    maximum = maximise(problem, key)
    told = information(problem, maximum.unknowns, key)
    samples = sample(problem, maximum, told, 600, key)
    assert samples.names == ("log_gradient", "log_well", "log_noise")
    assert samples.divergent < 0.01
    sd = np.sqrt(np.diag(np.linalg.inv(told.scalars)))
    # 600 draws that hardly repeat: means to 0.25 sd and deviations to 20 % are five standard errors or more.
    np.testing.assert_allclose(
        (samples.draws[:, :2].mean(axis=0) - problem.vector(maximum.unknowns)) / sd, 0, atol=0.25
    )
    np.testing.assert_allclose(samples.draws[:, :2].std(axis=0) / sd, 1, atol=0.2)


@pytest.mark.slow
def test_ranks_of_the_truth_are_uniform():
    """Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788), 40 simulations.

    Truths come from the prior, ranks among draws must be uniform; Kolmogorov's test rejects at 1 in 1000.
    """
    from scipy.stats import kstest

    rng, ranks = np.random.default_rng(0), []
    centre, sd = np.log([made.GRADIENT * 8, made.WELL * 8]), 0.05
    problem = pose(made.series(), AllenCahn(), replace(KNOWN, noise_sd=0.1), made.fields()[0])
    problem = replace(problem, **_prior(problem, centre, sd))
    simulate = jax.jit(lambda one, vector: one.fields(one.with_vector(one.start, vector)))
    for number in range(40):
        truth = centre + sd * rng.normal(size=2)
        frames = simulate(problem, jnp.asarray(truth)) + 0.1 * rng.normal(size=problem.measured.shape)
        posed = replace(problem, measured=jnp.asarray(frames))
        maximum: Maximum = maximise(posed, jax.random.key(0))
        told = information(posed, maximum.unknowns, jax.random.key(0))
        draws = sample(posed, maximum, told, 100, jax.random.key(number)).draws
        ranks.append((draws < truth).mean(axis=0))
    spread = np.asarray(ranks) + rng.uniform(0, 0.01, size=(40, 2))
    assert all(kstest(column, "uniform").pvalue > 1e-3 for column in spread.T)


def _prior(problem, centre, sd):
    """Return a Gaussian prior of the two rates."""
    return {
        "centre": _with_rates(problem.centre, *centre),
        "precision": _with_rates(problem.precision, sd**-2, sd**-2),
    }


def _with_rates(tree, gradient, well):
    return replace(tree, log_gradient=jnp.asarray(gradient), log_well=jnp.asarray(well))
