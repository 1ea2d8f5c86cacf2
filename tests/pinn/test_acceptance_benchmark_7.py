"""Benchmark 7 of PFHub backwards: its gradient coefficient from images of the exact solution, the source known."""

from typing import final

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from pinn.phase_field import field, solver
from pinn.phase_field.laplace import information
from pinn.phase_field.problem import Problem, Unknowns
from tests.physics.phase_field.manufactured import DURATION, KAPPA, InPixels, benchmark

FRAMES = 5
KEY = jax.random.key(0)


@final
class Sourced(Problem):
    """Images of a scene with a known source: one rate is free, from a start that is wrong by a factor of two."""

    def equation(self, unknowns):
        grid, equation = benchmark(self.grid.shape[0])
        return InPixels.of(equation, grid, jnp.exp(unknowns.log_gradient))


def truth(points):
    """Return ln a, with a = kappa in px^2 per duration."""
    return np.log(KAPPA * DURATION * points**2)


def images(points):
    """Return the exact solution at the pixels, from the start to the end."""
    equation = benchmark(points)[1]
    return np.stack([equation.exact(time) for time in np.linspace(0.0, DURATION, FRAMES)])


def posed(frames, step, noise_sd):
    """Return the problem; the first field is known, as the benchmark has it."""
    points = frames.shape[1]
    names = ("log_gradient", "log_well", "drive", "gain", "offset", "blur_variance", "log_noise")
    numbers = (truth(points) + np.log(2.0), 0.0, 0.0, 1.0, 0.0, 0.0, np.log(noise_sd))
    scalars = {name: jnp.asarray(float(number)) for name, number in zip(names, numbers, strict=True)}
    start = Unknowns(**scalars, initial=benchmark(points)[1].exact(0.0))
    return Sourced(
        measured=jnp.asarray(frames),
        known=jnp.ones(frames.shape),
        centre=start,
        precision=jax.tree.map(jnp.zeros_like, start),
        start=start,
        times=tuple(np.linspace(0.0, 1.0, FRAMES).tolist()),
        grid=type(benchmark(points)[0])((points, points)),
        corner=(0, 0),
        kind="allen-cahn",
        blurs=False,
        pixel_average=False,
        free=("log_gradient",),
        noise_free=False,
        initial_free=False,
        longest_step=step,
    )


def error(points, steps):
    """Return the error of ln kappa from images without noise."""
    maximum = solver.maximise(posed(images(points), 1 / steps, 1e-6), KEY)
    assert maximum.converged
    return float(maximum.unknowns.log_gradient) - truth(points)


def test_the_coefficient_gains_digits_with_the_grid_as_spectral_methods_do():
    """The interface is 1.8 and 3.6 px wide; a method of order four would gain a factor of 16."""
    coarse, fine = abs(error(64, 32)), abs(error(128, 32))
    assert fine < coarse / 300 and fine < 1e-4, (coarse, fine)


@pytest.mark.slow
def test_the_coefficient_converges_with_order_four_in_the_step():
    *errors, finest = [error(64, steps) for steps in (64, 128, 256, 1024)]
    orders = np.diff(np.log2(np.abs(np.array(errors) - finest))) * -1
    assert (orders > 3.5).all(), orders


def test_the_coefficient_is_found_within_its_uncertainty_under_noise():
    """Ten draws of a tenth; the squares of the deviations are chi-squared, rejected at 1 in 1000."""
    frames, errors, deviations = images(128), [], []
    for seed in range(10):
        noisy = frames + 0.1 * np.random.default_rng(seed).standard_normal(frames.shape)
        problem = posed(noisy, 1 / 32, 0.1)
        maximum = solver.maximise(problem, KEY)
        errors.append(float(maximum.unknowns.log_gradient) - truth(128))
        deviations.append(float(information(problem, maximum.unknowns, KEY).scalars[0, 0]) ** -0.5)
    assert np.sqrt(np.mean(np.square(errors))) < 0.006
    assert chi2.ppf(0.0005, 10) < np.sum(np.square(np.divide(errors, deviations))) < chi2.ppf(0.9995, 10)


@pytest.mark.slow
def test_the_field_back_end_finds_the_same_coefficient():
    frames = images(64)
    noisy = frames + 0.01 * np.random.default_rng(0).standard_normal(frames.shape)
    problem = posed(noisy, 1 / 64, 0.01)
    ours, reference = (one.maximise(problem, KEY) for one in (field, solver))
    sd = float(information(problem, reference.unknowns, KEY).scalars[0, 0]) ** -0.5
    assert ours.converged
    assert abs(float(ours.unknowns.log_gradient - reference.unknowns.log_gradient)) < 0.01 * sd
