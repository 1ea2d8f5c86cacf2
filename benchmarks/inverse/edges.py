"""What a person would write for a window whose surroundings are unseen: a solver that is told the edges by the images.

Images are smoothed by local cubics, their outermost pixels prescribed at all times, and the two rates fitted to what is
inside. The noise and the smoothing of the edges stay in the answer; nothing corrects for them.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.interpolate import CubicSpline
from scipy.optimize import least_squares
from scipy.signal import savgol_filter

from benchmarks.inverse.truth import STABLE, runge_kutta
from pinn.series import ImageSeries

FINER = 2  # points a pixel
RING = 2  # points at each edge that are prescribed
SMOOTHED, DEGREE = 5, 3  # frames and pixels of a local cubic
HIGHEST = 4.0  # times the start's a, for which the steps are still stable
BETWEEN = 8  # values between two frames, by a spline; linear between those


def rates_with_measured_edges(series: ImageSeries, start: Float[np.ndarray, " 2"]) -> Float[np.ndarray, " 2"]:
    """Return a and b in px^2 and 1 per unit of time, from a start, without a drive.

    Args:
        series: intensities that are the order parameter, in two dimensions.
        start: a and b to begin with.
    """
    smooth = np.asarray(series.frames, float)
    for axis in range(3):
        smooth = np.asarray(savgol_filter(smooth, SMOOTHED, DEGREE, axis=axis, mode="interp"))
    for axis in (1, 2):
        places = np.linspace(0, smooth.shape[axis] - 1, FINER * (smooth.shape[axis] - 1) + 1)
        smooth = np.asarray(CubicSpline(np.arange(smooth.shape[axis]), smooth, axis=axis)(places))
    fraction = np.linspace(0, len(smooth) - 1, BETWEEN * (len(smooth) - 1) + 1)
    times = np.interp(fraction, np.arange(len(smooth)), series.times)
    edges = jnp.asarray(CubicSpline(series.times, smooth)(times))
    inside = (slice(None), slice(1, -1), slice(1, -1))
    steps = int(np.ceil(np.diff(times).max() * HIGHEST * start[0] * FINER**2 * 2 * 16 / 3 / STABLE))

    def misfit(logarithms: np.ndarray) -> np.ndarray:
        fields = _solve(jnp.exp(jnp.asarray(logarithms)), edges, jnp.diff(jnp.asarray(times)), steps)
        seen = np.asarray(fields)[::BETWEEN, ::FINER, ::FINER]
        return (seen - series.frames)[inside].ravel()

    highest = np.log(start) + np.log([HIGHEST, 12.0])
    bounds = (np.log(start) - np.log(12.0), highest)
    return np.exp(least_squares(misfit, np.log(start), bounds=bounds, x_scale=0.1, diff_step=1e-4).x)


@partial(jax.jit, static_argnums=3)
def _solve(
    rates: Float[Array, " 2"], edges: Float[Array, "times x y"], gaps: Float[Array, " gaps"], steps: int
) -> Float[Array, "times x y"]:
    """Return the field at the times of the edges, by classical Runge-Kutta steps."""

    def rate(phi: Array) -> Array:
        return _rate(phi, rates)

    def to_next(phi: Array, interval: tuple) -> tuple[Array, Array]:
        before, after, gap = interval

        def step(number: Array, phi: Array) -> Array:
            share = (number + 1) / steps
            return _ringed(runge_kutta(rate, phi, gap / steps), (1 - share) * before + share * after)

        phi = jax.lax.fori_loop(0, steps, step, phi)
        return phi, phi

    return jnp.concatenate([edges[:1], jax.lax.scan(to_next, edges[0], (edges[:-1], edges[1:], gaps))[1]])


def _ringed(phi: Array, edges: Array) -> Array:
    return edges.at[RING:-RING, RING:-RING].set(phi[RING:-RING, RING:-RING])


def _rate(phi: Array, rates: Array) -> Array:
    """Return phi_t inside with five-point differences of fourth order, and zero on the ring."""
    middle = phi[RING:-RING, RING:-RING]
    along = sum(weight * phi[shift : phi.shape[0] - 4 + shift, RING:-RING] for shift, weight in enumerate(_DIFFERENCE))
    across = sum(weight * phi[RING:-RING, shift : phi.shape[1] - 4 + shift] for shift, weight in enumerate(_DIFFERENCE))
    reaction = 2 * middle * (1 - middle) * (1 - 2 * middle)
    return jnp.pad(rates[0] * FINER**2 * (along + across) - rates[1] * reaction, RING)


_DIFFERENCE = (-1 / 12, 16 / 12, -30 / 12, 16 / 12, -1 / 12)
