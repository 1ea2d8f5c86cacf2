"""Fits of known series: rates, what a driving force adds, and that nothing is said without one."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import made
import numpy as np
import pytest

from physics.phase_field.observe import blurred
from pinn.amounts import Measured
from pinn.phase_field.fit import fit
from pinn.phase_field.laplace import information
from pinn.phase_field.models import AllenCahn, Camera
from pinn.phase_field.normal import Point, point_of, unknowns_at
from pinn.phase_field.pose import pose
from pinn.phase_field.solver import maximise

KNOWN = Camera(1.0, 0.0, 0.0)
DRIVEN = AllenCahn(driving_force=Measured(made.FORCE, 0.0, "J/m^3"))


def values(quantities):
    return {quantity.symbol: quantity.value for quantity in quantities}


@pytest.fixture(scope="module")
def driven():
    """A fit with a known start and a known driving force."""
    return fit(made.series(made.DRIVE), DRIVEN, KNOWN, made.fields(made.DRIVE)[0])


@pytest.fixture(scope="module")
def undriven():
    """A fit with an unknown start, and nothing that sets the scale."""
    return fit(made.series(), AllenCahn(), KNOWN)


def test_known_driving_force_separates_mobility_energies_and_width(driven):
    mobility = made.DRIVE / made.FORCE
    kappa, height = made.GRADIENT * (made.UM_PER_PX * 1e-6) ** 2 / mobility, made.WELL / mobility
    truth = {"M": mobility, "kappa": kappa, "W": height, "sigma": np.sqrt(kappa * height / 18)}
    assert set(values(driven.separate)) == set(truth)
    for quantity in driven.separate:
        off = np.log(quantity.value / truth[quantity.symbol]) / (quantity.sd / quantity.value)
        assert abs(off) < 4.0, quantity
        assert quantity.low < quantity.value < quantity.high
    assert driven.ridge == ""
    assert driven.trusted, driven.checks


def test_without_a_scale_the_answer_is_a_ridge_and_no_number(undriven):
    assert undriven.separate == ()
    assert "none of M, kappa, W and sigma" in undriven.ridge
    assert {quantity.symbol for quantity in undriven.identified} == {"M kappa", "M W", "interface width"}
    assert undriven.spectrum.eigenvalues[-1] < 1e-9 * undriven.spectrum.eigenvalues[0]
    # The null direction of the symmetry, whatever its sign.
    np.testing.assert_allclose(np.abs(undriven.spectrum.directions[-1] @ [-1, 1, 1]) / np.sqrt(3), 1.0, rtol=1e-6)


def test_rates_of_an_unknown_start_are_within_their_intervals(undriven):
    found = {quantity.symbol: quantity for quantity in undriven.identified}
    for symbol, truth in (("M kappa", made.GRADIENT * made.UM_PER_PX**2), ("M W", made.WELL)):
        assert abs(found[symbol].value - truth) < 4 * found[symbol].sd, found[symbol]
    assert undriven.noise_sd == pytest.approx(made.NOISE, rel=0.05)
    assert undriven.trusted, undriven.checks


def test_two_scales_that_a_person_knows_give_the_same_numbers(driven):
    energy = Measured(values(driven.separate)["sigma"], 0.0, "J/m^2")
    model = replace(DRIVEN, driving_force=None, driven=True, interface_energy=energy)
    again = fit(made.series(made.DRIVE), model, KNOWN, made.fields(made.DRIVE)[0])
    for symbol, value in values(driven.separate).items():
        assert values(again.separate)[symbol] == pytest.approx(value, rel=1e-6)


def test_scale_without_units_is_no_number():
    data = replace(made.series(made.DRIVE), length_unit="pixel")
    estimate = fit(data, DRIVEN, KNOWN, made.fields(made.DRIVE)[0])
    assert estimate.separate == ()
    assert "pixel size" in estimate.ridge


def test_information_is_the_schur_complement_of_the_dense_matrix():
    data = made.series()
    frames = data.frames[:, ::2, ::2]  # 12 x 12 pixels: the dense matrix is small
    frames = np.where(np.random.default_rng(5).random(frames.shape) < 0.1, np.nan, frames)
    problem = pose(replace(data, frames=frames), AllenCahn(), Camera(None, 0.0, 0.0))
    unknowns = problem.start
    at = point_of(problem, unknowns)
    scalars = at.scalars.size

    def residual(vector):
        moved = unknowns_at(problem, unknowns, Point(vector[:scalars], vector[scalars:].reshape(problem.grid.shape)))
        misfit = problem.known * (problem.seen(problem.fields(moved), moved) - problem.measured)
        return misfit.ravel() * jnp.exp(-unknowns.log_noise)

    slopes = jax.jit(jax.jacfwd(residual))(jnp.concatenate([at.scalars, at.initial.ravel()]))
    dense = np.array(slopes.T @ slopes)
    block = dense[scalars:, scalars:]
    taken = np.trace(np.linalg.solve(block + np.eye(len(block)), block))
    dense[scalars:, scalars:] += np.eye(len(block))
    told = information(replace(problem, noise_free=False), unknowns, jax.random.key(0))
    np.testing.assert_allclose(told.scalars, np.linalg.inv(np.linalg.inv(dense)[:scalars, :scalars]), rtol=1e-3)
    known = float(problem.known.sum())
    assert known - scalars - told.freedom == pytest.approx(taken, rel=0.02)


def test_gain_offset_and_blur_are_found_with_the_rates():
    clean = made.fields()
    grid = pose(made.series(), AllenCahn(), KNOWN).grid
    seen = 120.0 * np.asarray(blurred(jnp.asarray(clean), grid, jnp.asarray(0.8**2), False)) + 30.0
    noisy = seen + 2.0 * np.random.default_rng(1).normal(size=seen.shape)
    estimate = fit(replace(made.series(), frames=noisy), AllenCahn(), Camera(), clean[0])
    found = {quantity.symbol: quantity for quantity in estimate.identified}
    for symbol, truth in (("M kappa", made.GRADIENT * made.UM_PER_PX**2), ("M W", made.WELL)):
        assert abs(found[symbol].value - truth) < 4 * found[symbol].sd, found[symbol]
    assert estimate.trusted, estimate.checks
    # The same images with the point-spread function neglected: far outside the interval, and the residuals say so.
    wrong = fit(replace(made.series(), frames=noisy), AllenCahn(), Camera(blur_px=0.0), clean[0])
    biased = {quantity.symbol: quantity for quantity in wrong.identified}["M W"]
    assert abs(biased.value - made.WELL) > 8 * biased.sd
    assert not wrong.trusted


@pytest.mark.slow
def test_a_blur_that_is_inferred_with_the_start_is_not_trusted():
    blurry = blurred(
        jnp.asarray(made.fields()), pose(made.series(), AllenCahn(), KNOWN).grid, jnp.asarray(0.8**2), False
    )
    noisy = np.asarray(blurry) + made.NOISE * np.random.default_rng(1).normal(size=blurry.shape)
    estimate = fit(replace(made.series(), frames=noisy), AllenCahn(), replace(KNOWN, blur_px=None))
    found = {quantity.symbol: quantity for quantity in estimate.identified}["M W"]
    # Far off: the first field follows the noise of the first frame the better, the less is blurred.
    assert abs(found.value - made.WELL) > 3 * found.sd
    assert [check.name for check in estimate.checks if not check.passed] == ["point-spread function"]


def test_missing_pixels_and_irregular_times_are_no_obstacle():
    data, taken = made.series(), [0, 1, 3, 4, 8]
    frames = np.where(np.random.default_rng(2).random(data.frames.shape) < 0.3, np.nan, data.frames)[taken]
    estimate = fit(replace(data, frames=frames, times=made.TIMES[taken]), AllenCahn(), KNOWN, made.fields()[0])
    found = {quantity.symbol: quantity for quantity in estimate.identified}
    assert abs(found["M W"].value - made.WELL) < 4 * found["M W"].sd
    assert estimate.trusted, estimate.checks


@pytest.mark.slow
def test_a_first_field_that_few_data_decide_on_is_not_trusted():
    data = made.series()
    few = np.where(np.random.default_rng(5).random(data.frames.shape) < 0.02, data.frames, np.nan)
    estimate = fit(replace(data, frames=few), AllenCahn(), KNOWN)
    assert "first field" in estimate.failed, estimate.checks


def test_maximum_has_no_slope_and_its_log_posterior_is_the_shared_one():
    problem = pose(made.series(), AllenCahn(), replace(KNOWN, noise_sd=made.NOISE), made.fields()[0])
    maximum = maximise(problem, jax.random.key(0))

    @jax.jit
    def along(vector):
        return problem.log_posterior(problem.with_vector(maximum.unknowns, vector))

    at = problem.vector(maximum.unknowns)
    deviations = 1 / jnp.sqrt(jnp.diag(information(problem, maximum.unknowns, jax.random.key(0)).scalars))
    np.testing.assert_allclose(jax.jit(jax.grad(along))(at) * deviations, 0.0, atol=0.03)
    assert maximum.trace[-1] == pytest.approx(-float(along(at)), abs=1e-3)
