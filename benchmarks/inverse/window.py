"""A small window that an interface crosses: it begins beyond the window, farther away than a margin reaches.

A grain shrinks; its boundary, first outside, sweeps through 16 x 16 pixels. Where it came from is not in the images,
and a margin whose pixels begin in a well feels nothing that would move an interface into it. All arms begin with the
same rates, from a regression on the smoothed images; peers with a solver are our own two, with margins, and one that
is told the edges by the images (`edges`).
"""

import time
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.inverse.edges import rates_with_measured_edges
from benchmarks.inverse.truth import integrate
from pinn.phase_field import field, solver
from pinn.phase_field.checks import checks, step_error
from pinn.phase_field.fit import fit
from pinn.phase_field.laplace import information
from pinn.phase_field.models import AllenCahn, Camera
from pinn.phase_field.pose import pose
from pinn.phase_field.problem import Problem, Unknowns
from pinn.phase_field.regression import with_regressed_rates
from pinn.series import ImageSeries

# a and b per duration, in px^2 and 1: the interface is 3 px wide.
GRADIENT = 400.0
WELL = 2 * GRADIENT / 9.0
PIXELS, FRAMES, FINER = 16, 20, 2
RADIUS, SCENE, NEAREST = 30.0, 80, 9  # px: of the grain, of the scene, from its centre to the window
NOISE, SEEDS = 0.02, 3
MARGINS = (12, 30)  # px; the second one reaches beyond the grain
CAMERA = Camera(gain=1.0, offset=0.0, blur_px=0.0)


@dataclass(frozen=True)
class Arm:
    """What one way found: a and b in px^2 and 1 per duration, wall seconds, and which checks failed."""

    name: str
    rates: tuple[float, float]
    seconds: float
    failed: str = "has none"

    @property
    def error(self) -> float:
        """Return the root mean square of the relative errors of both."""
        return float(np.sqrt(np.mean((np.array(self.rates) / np.array([GRADIENT, WELL]) - 1.0) ** 2)))


def measure_window(smoke: bool) -> dict[str, Any]:
    """Return root mean square errors of all arms in per cent over the seeds, and how many times better the network is.

    An arm that ends outside a factor of ten counts as one.
    """
    rows: dict[str, list[float]] = {}
    for seed in range(1 if smoke else SEEDS):
        for arm in arms(window(seed), seed):
            print(f"{seed} {arm.name}: {100 * arm.error:.2f} %, {arm.seconds:.0f} s; checks failed: {arm.failed}")
            rows.setdefault(arm.name, []).append(min(arm.error, 1.0))
    errors = {name: 100 * float(np.sqrt(np.mean(np.square(values)))) for name, values in rows.items()}
    best = min(value for name, value in errors.items() if name != "network")
    figures: dict[str, Any] = {f"window_error_{name}": round(value, 3) for name, value in errors.items()}
    return figures | {"window_best_solver_over_network": round(best / errors["network"], 2)}


@cache
def window(seed: int) -> ImageSeries:
    """Return noisy images of the window; a grain's outline differs from a circle by random waves."""
    rng = np.random.default_rng(seed)
    points = SCENE * FINER
    x = (np.arange(points) - points / 2) / FINER
    angle, distance = np.arctan2(x[:, None], x[None, :]), np.hypot(x[:, None], x[None, :])
    waves = sum(rng.normal() * np.cos(order * (angle - rng.uniform(0, 2 * np.pi))) for order in (2, 3))
    start = 0.5 * (1 - np.tanh((distance - RADIUS * (1 + 0.05 * waves)) / 3.0))
    times = np.linspace(0.0, 1.0, FRAMES)
    fields = integrate(start, GRADIENT, WELL, 0.0, 1 / FINER, times)[:, ::FINER, ::FINER]
    middle, side = SCENE // 2, PIXELS // 2
    inside = fields[:, middle + NEAREST : middle + NEAREST + PIXELS, middle - side : middle + side]
    return ImageSeries(inside + NOISE * rng.standard_normal(inside.shape), times)


def arms(series: ImageSeries, seed: int) -> list[Arm]:
    """Return what all ways find in one series."""
    return [
        by_network(series, seed),
        by_edges(series),
        *(by_margin(series, solver, margin) for margin in MARGINS),
        by_margin(series, field, MARGINS[0]),
    ]


def by_network(series: ImageSeries, seed: int) -> Arm:
    """Fit the network alone, as `fit` does here; its equation holds within the window, and nothing is said of edges."""
    estimate = fit(series, AllenCahn("open"), CAMERA, backend="pinn", seed=seed)
    values = {quantity.symbol: quantity.value for quantity in estimate.identified}
    rates = values.get("M kappa", np.inf), values.get("M W", np.inf)
    return Arm("network", rates, estimate.seconds, ", ".join(estimate.failed) or "none")


def by_edges(series: ImageSeries) -> Arm:
    """Fit a solver to which the images prescribe the edges."""
    started = time.perf_counter()
    first, second = rates_with_measured_edges(series, np.array(_rates(posed(series, MARGINS[0]).start)))
    return Arm("measured_edges", (float(first), float(second)), time.perf_counter() - started)


def by_margin(series: ImageSeries, backend: Any, margin: int) -> Arm:
    """Fit a back end with a margin around the window, whose first field is inferred with that of the window."""
    started, key = time.perf_counter(), jax.random.key(0)
    problem = posed(series, margin)
    maximum = backend.maximise(problem, key)
    unknowns = maximum.unknowns
    seen = np.asarray(problem.predicted(unknowns))
    made = checks(problem, maximum, information(problem, unknowns, key), seen, step_error(problem, unknowns, seen))
    failed = ", ".join(check.name for check in made if not check.passed)
    name = f"{backend.__name__.rsplit('.', 1)[-1]}_margin_{margin}"
    return Arm(name, _rates(unknowns), time.perf_counter() - started, failed or "none")


def posed(series: ImageSeries, margin: int) -> Problem:
    """Return the problem with the rates of a regression to begin with."""
    return with_regressed_rates(pose(series, AllenCahn("open", margin_px=margin), CAMERA))


def _rates(unknowns: Unknowns) -> tuple[float, float]:
    return float(jnp.exp(unknowns.log_gradient)), float(jnp.exp(unknowns.log_well))
