"""Image series with known parameters, by an independent scheme on a finer grid than any fit uses.

Finite differences of fourth order and the classical Runge-Kutta method in small steps, four points a pixel along each
axis; nothing here is shared with the solvers under test.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinn.series import ImageSeries

FINER = 4  # points a pixel along each axis
STABLE = 2.0  # of the step times the largest eigenvalue of the discrete Laplacian; Runge-Kutta allows 2.8
WIDTH_PX, SHRINKAGE_PX2, DURATION = 3.0, 100.0, 1.0  # l, a T


@dataclass(frozen=True)
class Truth:
    """A series without noise and what made it.

    Attributes:
        frames: order parameter at the pixels, shape (times, *pixels).
        times: of the frames.
        gradient: M kappa in px^2 per unit of time.
        well: M W.
        drive: M dG.
    """

    frames: np.ndarray
    times: np.ndarray
    gradient: float
    well: float
    drive: float

    def series(self, noise: float, seed: int) -> ImageSeries:
        """Return images with white noise of this standard deviation."""
        noisy = self.frames + noise * np.random.default_rng(seed).standard_normal(self.frames.shape)
        return ImageSeries(noisy, self.times)


def morphology(seed: int, pixels: int = 64, frames: int = 20, drive_over_well: float = 0.0) -> Truth:
    """Return a periodic two-phase pattern that coarsens, interface 3 px wide.

    Args:
        seed: of the random start.
        pixels: along each of two axes.
        frames: number of them, the first at the start.
        drive_over_well: dG/W; positive where phi = 1 grows.
    """
    gradient = SHRINKAGE_PX2 / DURATION
    well = 2 * gradient / WIDTH_PX**2
    times = np.linspace(0.0, DURATION, frames)
    fine = random_start(seed, pixels * FINER, 1 / FINER)
    fields = integrate(fine, gradient, well, drive_over_well * well, 1 / FINER, times)
    # Points at the centres of pixels: the grid starts at the centre of the first one.
    return Truth(fields[:, ::FINER, ::FINER], times, gradient, well, drive_over_well * well)


def random_start(seed: int, points: int, spacing: float) -> np.ndarray:
    """Return a smooth random pattern of two phases, on a square of points with this spacing in px."""
    wave = 2 * np.pi * np.fft.fftfreq(points, spacing)
    low_pass = np.exp(-0.5 * 3.5**2 * (wave[:, None] ** 2 + wave[None, :] ** 2))
    # Few coarse modes: the same pattern for a seed, however fine the grid.
    modes = np.zeros((points, points), complex)
    keep = np.r_[0:16, -16:0]
    modes[np.ix_(keep, keep)] = np.random.default_rng(seed).standard_normal((2, 32, 32)).T @ [1.0, 1.0j]
    pattern = np.fft.ifft2(low_pass * modes).real
    return 0.5 * (1 + np.tanh(1.5 * (pattern - pattern.mean()) / pattern.std()))


def integrate(
    start: np.ndarray, gradient: float, well: float, drive: float, spacing: float, times: np.ndarray
) -> np.ndarray:
    """Return Allen-Cahn fields at the times, periodic, shape (times, *points)."""
    longest = STABLE * spacing**2 / (gradient * start.ndim * 16 / 3)
    steps = int(np.ceil(np.diff(times).max() / longest))
    rates = jnp.asarray([gradient / spacing**2, well, drive])
    return np.concatenate([start[None], _frames(jnp.asarray(start), rates, jnp.diff(jnp.asarray(times)), steps)])


@partial(jax.jit, static_argnums=3)
def _frames(
    start: Float[Array, "*points"], rates: Float[Array, " 3"], gaps: Float[Array, " gaps"], steps: int
) -> Float[Array, "gaps *points"]:
    def rate(phi: Array) -> Array:
        return _rate(phi, rates)

    def to_next(phi, gap):
        phi = jax.lax.fori_loop(0, steps, lambda _, field: runge_kutta(rate, field, gap / steps), phi)
        return phi, phi

    return jax.lax.scan(to_next, start, gaps)[1]


def runge_kutta(rate: Callable[[Array], Array], phi: Array, step: Array) -> Array:
    """Return a field after one step of the classical method of order four."""
    one = rate(phi)
    two = rate(phi + step / 2 * one)
    three = rate(phi + step / 2 * two)
    return phi + step / 6 * (one + 2 * two + 2 * three + rate(phi + step * three))


def _rate(phi: Array, rates: Array) -> Array:
    """Return phi_t with the five-point difference of fourth order along each axis."""
    wrapped = jnp.pad(phi, 2, mode="wrap")
    laplacian = sum(_second_difference(wrapped, axis) for axis in range(phi.ndim))
    reaction = rates[2] * 30 * (phi * (1 - phi)) ** 2 - rates[1] * 2 * phi * (1 - phi) * (1 - 2 * phi)
    return rates[0] * laplacian + reaction


def _second_difference(wrapped: Array, axis: int) -> Array:
    """Return it along one axis of a field that has two more points at each end of each axis."""
    inner = [slice(2, -2)] * wrapped.ndim
    far_left, left, here, right, far_right = (
        wrapped[tuple(slice(shift, (shift - 4) or None) if one == axis else cut for one, cut in enumerate(inner))]
        for shift in range(5)
    )
    return (16 * (left + right) - far_left - far_right - 30 * here) / 12
