"""Image series whose parameters are known, small enough for tests."""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from physics.phase_field.equations import AllenCahn
from physics.phase_field.evolve import evolve, schedule
from physics.phase_field.grid import Grid
from pinn.series import ImageSeries

PIXELS, TIMES = 24, np.linspace(0.0, 8.0, 9)
GRADIENT, WELL, DRIVE = 2.0, 0.9, 0.06  # px^2 and 1 per time; l = 2.1 px
FORCE = 3e6  # J/m^3
UM_PER_PX, NOISE = 0.2, 0.03


@functools.cache
def fields(drive: float = 0.0) -> np.ndarray:
    """Return order parameters at `TIMES` on 24 x 24 pixels, from a start of two blots."""
    x = 2 * np.pi * np.arange(PIXELS) / PIXELS
    waves = np.sin(x)[:, None] * np.cos(x)[None] + 0.4 * np.cos(2 * x)[:, None] + 0.3 * np.sin(x)[None]
    start = jnp.asarray(0.5 + 0.5 * np.tanh(2.5 * waves))
    rates = [jnp.asarray(rate) for rate in (GRADIENT, WELL, drive)]
    grid = Grid((PIXELS, PIXELS))
    return np.asarray(jax.jit(evolve)(start, AllenCahn(*rates), grid, schedule(TIMES, 0.05)))


def series(drive: float = 0.0, seed: int = 0, noise: float = NOISE) -> ImageSeries:
    """Return images of them with white noise, 0.2 um a pixel and seconds."""
    clean = fields(drive)
    return ImageSeries(
        clean + noise * np.random.default_rng(seed).normal(size=clean.shape), TIMES, UM_PER_PX, "um", "s"
    )
