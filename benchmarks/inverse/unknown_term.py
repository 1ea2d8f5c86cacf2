"""Allen-Cahn with a local term that nobody knows: phi_t = a lap(phi) + N(phi), N a polynomial that is inferred with a.

The solver that `pinn.phase_field` fits with has the double well built in. Two ways around it, on the same noisy images
whose start is inferred, too: a network beside the polynomial, and the polynomial as an equation of the solver.
"""

import time
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from scipy.ndimage import gaussian_filter

from benchmarks.inverse.truth import random_start
from physics.phase_field.equations import AbstractEquation
from physics.phase_field.evolve import evolve, schedule
from physics.phase_field.grid import Grid
from pinn.training.continuation import Box, Plan, continued
from pinn.training.envelope import Bounded
from pinn.training.features import WaveFeatures
from pinn.training.first_order import Schedule
from pinn.training.least_squares import term
from pinn.training.network import perceptron_field
from pinn.training.residuals import first, laplacian

GRADIENT, WELL, LEAN = 60.0, 60.0 * 2 / 9, 0.8
PIXELS, FRAMES, FINER, NOISE, SEEDS = 32, 10, 3, 0.02, 3
DEGREE = 5  # of the polynomial; the true term has degree 4
STEP = 0.3 / WELL
HIDDEN = (24, 24, 24)
PLAN = Plan(Schedule(3000, 5e-3, 1024), (0.1, 0.1, 0.3, 0.3, 0.3, 1.0, 1.0), 8, 4000)
GAUSS_NEWTON = 8
TIMES = np.linspace(0.0, 1.0, FRAMES)


@final
class Polynomial(AbstractEquation):
    """phi_t = a lap(phi) + sum of c_k T_k(2 phi - 1), with Chebyshev's polynomials.

    Attributes:
        gradient: a.
        coefficients: c.
    """

    gradient: Float[Array, ""]
    coefficients: Float[Array, " terms"]

    def linear(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*modes"]:
        """Return the diffusion."""
        return self.gradient * eigenvalues

    def weight(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*#modes"]:
        """Return 1: the term is local."""
        return eigenvalues**0

    def local(self, field: Float[Array, "*pixels"], time: Float[Array, ""]) -> Float[Array, "*pixels"]:
        """Return the polynomial, by its recurrence."""
        u = 2.0 * field - 1.0
        before, now = jnp.ones_like(u), u
        total = self.coefficients[0] + self.coefficients[1] * u
        for coefficient in self.coefficients[2:]:
            before, now = now, 2.0 * u * now - before
            total = total + coefficient * now
        return total


@final
class Truth(AbstractEquation):
    """The leaning double well: N = -b g'(phi) (1 + LEAN phi)."""

    def linear(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*modes"]:
        """Return the diffusion."""
        return GRADIENT * eigenvalues

    def weight(self, eigenvalues: Float[Array, "*modes"]) -> Float[Array, "*#modes"]:
        """Return 1: the term is local."""
        return eigenvalues**0

    def local(self, field: Float[Array, "*pixels"], time: Float[Array, ""]) -> Float[Array, "*pixels"]:
        """Return the leaning well."""
        return -WELL * 2 * field * (1 - field) * (1 - 2 * field) * (1 + LEAN * field)


def measure_unknown_term(smoke: bool) -> dict[str, Any]:
    """Return root mean square errors over the seeds, per cent: of a, and of N relative to its own size."""
    rows: dict[str, list[tuple[float, float]]] = {}
    for seed in range(1 if smoke else SEEDS):
        frames = images(seed)
        for name, way in (("solver", by_solver), ("network", by_network)):
            started = time.perf_counter()
            off = errors(*way(frames, seed))
            seconds = time.perf_counter() - started
            print(f"{seed} {name}: a off by {100 * off[0]:.2f} %, N by {100 * off[1]:.2f} %, {seconds:.0f} s")
            rows.setdefault(name, []).append(off)
    rms = {name: 100 * np.sqrt(np.mean(np.square(values), axis=0)) for name, values in rows.items()}
    return {f"unknown_term_{what}_error_{name}": round(float(rms[name][k]), 3) for name in rms for k, what in _WHAT}


_WHAT = ((0, "a"), (1, "n"))


def images(seed: int) -> np.ndarray:
    """Return noisy images, from a grid three times finer."""
    grid = Grid((PIXELS * FINER,) * 2, 1 / FINER)
    start = jnp.asarray(random_start(seed, PIXELS * FINER, 1 / FINER))
    fields = np.asarray(jax.jit(evolve)(start, Truth(), grid, schedule(TIMES, STEP / 2)))[:, ::FINER, ::FINER]
    return fields + NOISE * np.random.default_rng(seed + 1000).standard_normal(fields.shape)


def errors(gradient: float, coefficients: np.ndarray) -> tuple[float, float]:
    """Return the relative error of a, and that of N over the phases in between."""
    phi = jnp.linspace(0.0, 1.0, 101)
    wanted = Truth().local(phi, jnp.zeros(()))
    found = Polynomial(jnp.asarray(gradient), jnp.asarray(coefficients)).local(phi, jnp.zeros(()))
    return abs(gradient / GRADIENT - 1), float(jnp.linalg.norm(found - wanted) / jnp.linalg.norm(wanted))


def regressed(frames: np.ndarray) -> np.ndarray:
    """Return ln a and c that explain the rate of smoothed images: where both ways begin."""
    smooth = np.stack([gaussian_filter(frame, 1.5, mode="wrap") for frame in frames])
    curved = np.add(*(np.roll(smooth, 1, axis) + np.roll(smooth, -1, axis) - 2 * smooth for axis in (1, 2)))
    columns = np.column_stack([curved.ravel(), np.polynomial.chebyshev.chebvander(2 * smooth.ravel() - 1, DEGREE)])
    found = np.linalg.lstsq(columns, np.gradient(smooth, TIMES, axis=0).ravel())[0]
    return np.concatenate([[np.log(max(found[0], 1.0))], found[1:]])


def by_solver(frames: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
    """Infer them and the first field by Gauss-Newton steps through the solver; nothing is random but the images."""
    del seed
    grid, when = Grid((PIXELS, PIXELS)), schedule(TIMES, STEP)
    scalars = DEGREE + 2

    def misfit(unknowns: Float[Array, " n"]) -> Float[Array, " rows"]:
        equation = Polynomial(jnp.exp(unknowns[0]), unknowns[1:scalars])
        fields = evolve(unknowns[scalars:].reshape(PIXELS, PIXELS), equation, grid, when)
        held = 0.5 * NOISE * (unknowns[scalars:] - 0.5)  # a first field about 1/2 with deviations of 2, as good as free
        return jnp.concatenate([(fields - frames).ravel(), held])

    value, slopes = jax.jit(misfit), jax.jit(jax.jacfwd(misfit))
    unknowns = np.concatenate([regressed(frames), np.clip(gaussian_filter(frames[0], 1.0, mode="wrap"), 0, 1).ravel()])
    residual = np.asarray(value(unknowns))
    for _ in range(GAUSS_NEWTON):
        move = np.linalg.lstsq(np.asarray(slopes(unknowns)), -residual)[0]
        for shortened in (1.0, 0.3, 0.1, 0.03):
            trial = np.asarray(value(unknowns + shortened * move))
            if trial @ trial < residual @ residual:
                unknowns, residual = unknowns + shortened * move, trial
                break
    return float(np.exp(unknowns[0])), unknowns[1:scalars]


def by_network(frames: np.ndarray, seed: int) -> tuple[float, np.ndarray]:
    """Infer them beside a network that meets the images and the equation."""
    build, train = jax.random.split(jax.random.key(seed))
    features = WaveFeatures(1.0, (float(PIXELS),) * 2, 4, True)
    field, weights = perceptron_field(features, Bounded(-0.1, 1.1), HIDDEN, 1, build)
    scene, pixels = _Scene(field), np.arange(PIXELS) + 0.5
    points = np.meshgrid(TIMES, pixels, pixels, indexing="ij")
    data = term(scene.misfit, jnp.column_stack([*(axis.ravel() for axis in points), frames.ravel()]), 0.5 / NOISE)
    box = Box(jnp.zeros(3), jnp.array([1.0, PIXELS, PIXELS]))
    start = jnp.concatenate([jnp.asarray(regressed(frames)), weights])
    found, _ = continued(data, (scene.equation,), box, start, start.size - weights.size, PLAN, train, lambda _: True)
    return float(jnp.exp(found[0])), np.asarray(found[1 : DEGREE + 2])


@final
class _Scene(eqx.Module):
    """Residuals at a point; unknowns are ln a, c, then weights."""

    field: Any

    def misfit(self, unknowns: Float[Array, " unknowns"], datum: Float[Array, " datum"]) -> Float[Array, ""]:
        return self._order(unknowns)(datum[:-1]) - datum[-1]

    def equation(self, unknowns: Float[Array, " unknowns"], point: Float[Array, " axes"]) -> Float[Array, ""]:
        order, rates = self._order(unknowns), Polynomial(jnp.exp(unknowns[0]), unknowns[1 : DEGREE + 2])
        return first(order, point, 0) - rates.gradient * laplacian(order, point) - rates.local(order(point), point[0])

    def _order(self, unknowns: Float[Array, " unknowns"]) -> Any:
        return lambda point: self.field(unknowns[DEGREE + 2 :], point)[0]
