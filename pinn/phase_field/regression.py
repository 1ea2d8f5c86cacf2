"""Rates to begin with where no scan through the solver can tell them, because what is beyond the images matters.

Smoothed images are regressed point by point: how they change in time on what the equation says of them. Noise and
smoothing bias such rates by a factor of two or so: they are a place to begin, and no answer.
"""

from dataclasses import replace

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from physics.phase_field.energy import interpolation_slope, well_slope
from pinn.errors import DataRefusedError
from pinn.phase_field.problem import RATES, Problem
from pinn.phase_field.start import ACCURATE_STEP, on_ladder, smoothed

SMOOTHING_PX = 1.5
RIM_PX = 3  # of the images: differences and smoothing are worse there
SMALLEST = 1e-3  # of the largest rate, where the regression says less than nothing


def with_regressed_rates(problem: Problem) -> Problem:
    """Return an Allen-Cahn problem that begins with regressed rates, and with the noise that the smoothing removed.

    Raises:
        DataRefusedError: the problem is Cahn-Hilliard, whose fourth derivatives no noisy image has, or images are too
            small to be regressed away from their rim.
    """
    if problem.kind != "allen-cahn" or min(problem.measured.shape[1:]) <= 2 * RIM_PX:
        raise DataRefusedError(f"{problem.kind=}, {problem.measured.shape=}: give Allen-Cahn images of at least 7 px")
    known = np.asarray(problem.known) > 0
    whole = known.reshape(len(known), -1).any(axis=1)
    phi = (np.asarray(problem.measured) - float(problem.start.offset)) / float(problem.start.gain)
    smooth = np.stack([smoothed(frame, SMOOTHING_PX) for frame in np.where(known, phi, np.nan)[whole]])
    rates = _regressed(smooth, np.asarray(problem.times)[whole], "drive" in problem.free)
    noise = float(problem.start.gain) * np.sqrt(np.mean((phi[whole] - smooth)[known[whole]] ** 2))
    names = (*RATES, *(("log_noise",) if problem.noise_free else ()))
    numbers = (np.log(rates[0]), np.log(rates[1]), rates[2], np.log(noise))[: len(names)]
    start = eqx.tree_at(
        lambda tree: [getattr(tree, name) for name in names], problem.start, [jnp.asarray(number) for number in numbers]
    )
    return replace(problem, start=start, longest_step=on_ladder(ACCURATE_STEP / (rates[1] + 2 * abs(rates[2]))))


def _regressed(smooth: np.ndarray, times: np.ndarray, driven: bool) -> np.ndarray:
    """Return a, b and c per duration; c is 0 where nothing drives."""
    axes = range(1, smooth.ndim)
    laplacian = np.sum([np.gradient(np.gradient(smooth, axis=axis), axis=axis) for axis in axes], axis=0)
    parts = [laplacian, -np.asarray(well_slope(jnp.asarray(smooth)))]
    parts += [np.asarray(interpolation_slope(jnp.asarray(smooth)))] * driven
    inside = (slice(None), *(slice(RIM_PX, -RIM_PX) for _ in axes))
    columns = np.stack([part[inside].ravel() for part in parts], axis=1)
    found = np.linalg.lstsq(columns, np.gradient(smooth, times, axis=0)[inside].ravel())[0]
    rates = np.maximum(found[:2], SMALLEST * max(np.abs(found[:2]).max(), 1.0))
    return np.append(rates, found[2] if driven else 0.0)
