"""Burgers' equation by a differentiable spectral solver: the honest competitor, and the Cramer-Rao bound."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from benchmarks.inverse.burgers_data import SPEED, VISCOSITY, Samples

# The steepest slope, 152 in the middle, needs 1024 points; the time step obeys the Courant condition there.
GRID = 1024
STEPS = 800
# Waves of the unknown initial field, sines and cosines; the true one is the first sine.
MODES = 8
MOST_STEPS = 30


@dataclass(frozen=True)
class SolverFit:
    """Speed and viscosity, and the standard deviations of speed and of the viscosity's logarithm."""

    speed: float
    viscosity: float
    sd: np.ndarray


def fit(samples: Samples, known_initial: bool) -> SolverFit:
    """Return the maximum-likelihood fit by Gauss-Newton, from speed 1/2 and five times the viscosity.

    Args:
        samples: what was measured.
        known_initial: whether the initial field is told; otherwise its waves are fitted too, from the earliest samples.
    """
    unknowns = _start(samples, known_initial)
    points, values = jnp.asarray(samples.points), jnp.asarray(samples.values)
    residuals, jacobian = _linearised(unknowns, points, values)
    for _ in range(MOST_STEPS):
        change = jnp.linalg.lstsq(jacobian, -residuals)[0]
        # The first steps overshoot: the viscosity, a logarithm here, moves by a factor of e at most.
        change = change * jnp.minimum(1.0, 1.0 / jnp.max(jnp.abs(change)))
        unknowns = unknowns + change
        residuals, jacobian = _linearised(unknowns, points, values)
        if float(jnp.max(jnp.abs(change[:2]))) < 1e-7:
            break
    sd = jnp.linalg.norm(residuals) / values.size**0.5 * jnp.sqrt(jnp.diagonal(jnp.linalg.inv(jacobian.T @ jacobian)))
    return SolverFit(float(unknowns[0]), float(jnp.exp(unknowns[1])), np.asarray(sd[:2]))


def cramer_rao(samples: Samples, known_initial: bool) -> np.ndarray:
    """Return the least relative standard deviations of speed and viscosity that any unbiased estimate can have."""
    initial = np.zeros(0) if known_initial else np.eye(1, 2 * MODES, 0)[0] * -1.0
    truth = jnp.concatenate([jnp.asarray([SPEED, np.log(VISCOSITY)]), jnp.asarray(initial)])
    _, jacobian = _linearised(truth, jnp.asarray(samples.points), jnp.asarray(samples.values))
    information = jacobian.T @ jacobian / samples.noise_sd**2
    return np.sqrt(np.diag(np.linalg.inv(np.asarray(information))))[:2]


def _start(samples: Samples, known_initial: bool) -> Float[Array, " unknowns"]:
    """Return rates to begin with and, where it is unknown, the waves fitted to samples before the front forms."""
    rates = jnp.asarray([0.5, np.log(5.0 * VISCOSITY)])
    if known_initial:
        return rates
    early = samples.points[:, 0] < 0.1
    waves, *_ = np.linalg.lstsq(np.asarray(_waves(samples.points[early, 1])), samples.values[early], rcond=None)
    return jnp.concatenate([rates, jnp.asarray(waves)])


@jax.jit
def _linearised(unknowns: Array, points: Array, values: Array) -> tuple[Array, Array]:
    def residuals(unknowns: Array) -> Array:
        return _sampled(_solved(unknowns), points) - values

    return residuals(unknowns), jax.jacfwd(residuals)(unknowns)


def _waves(place: Float[Array, " n"] | np.ndarray) -> Float[Array, "n waves"]:
    """Return sines, then cosines, the constant among them."""
    angles = jnp.pi * jnp.asarray(place)[:, None]
    orders = jnp.arange(1, MODES + 1)
    return jnp.concatenate([jnp.sin(angles * orders), jnp.cos(angles * (orders - 1))], axis=1)


def _solved(unknowns: Float[Array, " unknowns"]) -> Float[Array, "times modes"]:
    """Return the Fourier coefficients at all time steps, by exponential Runge-Kutta of order 4 (Cox, Matthews 2002)."""
    place = -1.0 + 2.0 * jnp.arange(GRID) / GRID
    start = -jnp.sin(jnp.pi * place) if unknowns.size == 2 else _waves(place) @ unknowns[2:]
    orders = jnp.pi * jnp.arange(GRID // 2 + 1)
    kept = jnp.arange(GRID // 2 + 1) <= GRID // 3
    linear = -jnp.exp(unknowns[1]) * orders**2 / STEPS
    advection = partial(_advection, slope=-0.5j * unknowns[0] * orders * kept / STEPS)

    def step(field: Array, _: None) -> tuple[Array, Array]:
        return _exponential_step(field, linear, advection), field

    last, fields = jax.lax.scan(step, jnp.fft.rfft(start), None, length=STEPS)
    return jnp.concatenate([fields, last[None]])


def _advection(field: Array, slope: Array) -> Array:
    return slope * jnp.fft.rfft(jnp.square(jnp.fft.irfft(field, GRID)))


def _exponential_step(field: Array, linear: Array, slope: Callable[[Array], Array]) -> Array:
    half, whole = jnp.exp(linear / 2.0), jnp.exp(linear)
    phi, first, middle, last = _coefficients(linear)
    now = slope(field)
    a = half * field + phi * now
    at_a = slope(a)
    b = half * field + phi * at_a
    at_b = slope(b)
    at_c = slope(half * a + phi * (2.0 * at_b - now))
    return whole * field + first * now + middle * (at_a + at_b) + last * at_c


def _coefficients(linear: Array) -> tuple[Array, Array, Array, Array]:
    """Return the four weights as means over a circle, where nothing cancels (Kassam, Trefethen 2005)."""
    turn = jnp.exp(1j * jnp.pi * (jnp.arange(32) + 0.5) / 32.0)
    z = linear[:, None] + turn
    e = jnp.exp(z)
    phi = (jnp.exp(z / 2.0) - 1.0) / z
    first = (-4.0 - z + e * (4.0 - 3.0 * z + z**2)) / z**3
    middle = 2.0 * (2.0 + z + e * (z - 2.0)) / z**3
    last = (-4.0 - 3.0 * z - z**2 + e * (4.0 - z)) / z**3
    phi, first, middle, last = (part.mean(axis=1).real for part in (phi, first, middle, last))
    return phi, first, middle, last


def _sampled(fields: Float[Array, "times modes"], points: Float[Array, "n 2"]) -> Float[Array, " n"]:
    """Return the field at scattered points: exact in space, cubic in time through four neighbouring steps."""
    place = points[:, 0] * STEPS
    left = jnp.clip(jnp.floor(place).astype(int) - 1, 0, STEPS - 3)
    offset = place - left
    phases = jnp.exp(1j * jnp.pi * (points[:, 1] + 1.0)[:, None] * jnp.arange(GRID // 2 + 1))
    twice = jnp.full(GRID // 2 + 1, 2.0).at[0].set(1.0).at[-1].set(1.0) / GRID
    values = jnp.stack([jnp.sum((fields[left + i] * phases).real * twice, axis=1) for i in range(4)])
    return jnp.sum(_lagrange(offset) * values, axis=0)


def _lagrange(offset: Float[Array, " n"]) -> Float[Array, "4 n"]:
    t = offset
    return jnp.stack(
        [
            -(t - 1.0) * (t - 2.0) * (t - 3.0) / 6.0,
            t * (t - 2.0) * (t - 3.0) / 2.0,
            -t * (t - 1.0) * (t - 3.0) / 2.0,
            t * (t - 1.0) * (t - 2.0) / 6.0,
        ]
    )
