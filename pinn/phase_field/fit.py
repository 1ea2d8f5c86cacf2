"""One call from images to parameters, whichever way to the maximum is taken."""

import time
from dataclasses import dataclass, replace
from importlib import import_module

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from pinn.errors import InferenceError
from pinn.estimate import Estimate, Spectrum
from pinn.phase_field.checks import checks, is_resolved, step_error
from pinn.phase_field.entering import enters, fit_entering
from pinn.phase_field.found import Found
from pinn.phase_field.identifiability import ridge, spectrum
from pinn.phase_field.laplace import information
from pinn.phase_field.models import AllenCahn, Camera, Model, has_scale
from pinn.phase_field.pose import pose
from pinn.phase_field.problem import Maximum, Problem
from pinn.phase_field.quantities import identified, rates_of, separate
from pinn.phase_field.start import on_ladder, pixel_noise, step_for
from pinn.series import ImageSeries
from pinn.units import si_factors

# Each module has `maximise(problem, key) -> Maximum`; it is imported when it is asked for.
BACKENDS = {"solver": "pinn.phase_field.solver", "field": "pinn.phase_field.field", "pinn": "pinn.phase_field.network"}

UNKNOWN_CAMERA = Camera()
POLISHED = (
    "Intervals of the network itself would be approximate; these are what the likelihood says where the solver took "
    "its last steps."
)
# Searches with shorter steps, each from where the one before ended.
REFINEMENTS = 3


def fit(
    series: ImageSeries,
    model: Model,
    camera: Camera = UNKNOWN_CAMERA,
    initial: np.ndarray | None = None,
    backend: str = "solver",
    seed: int = 0,
) -> Estimate:
    """Infer the rates of a phase field from images, with intervals, what they leave open, and checks.

    The maximum is searched by the back end; intervals are those of the log-posterior about it, through the solver, for
    every back end. Only where an interface comes from beyond the images the network answers alone, with its own.

    Args:
        series: intensities at known times.
        model: the equation, and the number that fixes the scale where there is one.
        camera: what is known of the camera; by default nothing.
        initial: the order parameter at the first time where it is known, shape (*pixels); None to infer it.
        backend: "solver", "field" or "pinn".
        seed: of what is random in the back end and in the count of the degrees of freedom.

    Raises:
        DataRefusedError: the series is no intensities of an evolving phase field, or a setting does not fit it.
        InferenceError: there is no such back end.
    """
    started = time.perf_counter()
    if backend not in BACKENDS:
        raise InferenceError(f"{backend=}: give one of {', '.join(BACKENDS)}")
    problem = pose(series, model, camera, initial)
    key = jax.random.key(seed)
    alone = backend == "pinn" and isinstance(model, AllenCahn) and enters(series, model)
    found = fit_entering(problem, key) if alone else _through_solver(problem, backend, key)
    return _concluded(series, model, found, backend, started)


def foretold(
    series: ImageSeries, model: Model, camera: Camera = UNKNOWN_CAMERA, initial: np.ndarray | None = None
) -> Spectrum:
    """Return what a fit of the series may hope for: the Fisher spectrum at its start values, before time is spent.

    The start knows the rates within a factor of two or so, and deviations as roughly; the noise is that of the images.

    Args:
        series: as of `fit`, like all the others.
        model: the equation, and the number that fixes the scale where there is one.
        camera: what is known of it.
        initial: the order parameter at the first time where it is known.

    Raises:
        DataRefusedError: as of `fit`.
    """
    problem = pose(series, model, camera, initial)
    start, noise = problem.start, camera.noise_sd or pixel_noise(np.asarray(series.frames, float))
    if noise > 0:
        start = eqx.tree_at(lambda tree: tree.log_noise, start, jnp.log(noise))
    told = information(replace(problem, noise_free=False), start, jax.random.key(0))
    return spectrum(problem, start, told.scalars, has_scale(model))


def _through_solver(problem: Problem, backend: str, key: jax.Array) -> Found:
    """Return the maximum of the log-posterior and what the solver says of it."""
    searching, counting = jax.random.split(key)
    found = _maximised(problem, backend, searching)
    told = information(found.problem, found.maximum.unknowns, counting)
    made = checks(found.problem, found.maximum, told, found.seen, found.step_error)
    return Found(found.problem, found.maximum, found.seen, told, made, POLISHED if backend == "pinn" else "")


@dataclass(frozen=True)
class _Searched:
    """A maximum with the problem, which has its time step, what is seen there, and the error of the step."""

    problem: Problem
    maximum: Maximum
    seen: np.ndarray
    step_error: float

    @classmethod
    def of(cls, problem: Problem, maximum: Maximum) -> "_Searched":
        seen = np.asarray(problem.predicted(maximum.unknowns))
        return cls(problem, maximum, seen, step_error(problem, maximum.unknowns, seen))


def _maximised(problem: Problem, backend: str, key: jax.Array) -> _Searched:
    """Return the maximum, searched again with shorter steps where the noise is small or the first field rough."""
    maximum = import_module(BACKENDS[backend]).maximise(problem, key)
    wanted = step_for(problem, maximum.unknowns)
    enough = wanted >= problem.longest_step
    found = _Searched.of(problem, maximum) if enough else _polished(problem, maximum, wanted, key)
    for _ in range(REFINEMENTS):
        shift = found.step_error / float(np.exp(found.maximum.unknowns.log_noise))
        if shift < 1.0:
            break
        # By the order of four this one shifts no rate.
        shorter = on_ladder(found.problem.longest_step * (2.0 * shift) ** -0.25)
        found = _polished(found.problem, found.maximum, shorter, key)
    return found


def _polished(problem: Problem, maximum: Maximum, step: float, key: jax.Array) -> _Searched:
    """Return the maximum with another time step, by the solver."""
    problem = replace(problem, longest_step=step, start=maximum.unknowns)
    polished = import_module(BACKENDS["solver"]).maximise(problem, key)
    return _Searched.of(problem, replace(polished, trace=np.concatenate([maximum.trace, polished.trace])))


def _concluded(series: ImageSeries, model: Model, found: Found, backend: str, started: float) -> Estimate:
    problem, unknowns, told = found.problem, found.maximum.unknowns, found.told
    rates = rates_of(problem, unknowns, told.scalars, series)
    quantities, covariance = identified(rates, series, problem.kind, is_resolved(unknowns))
    apart = separate(rates, series, model) if is_resolved(unknowns) else ()
    without_units = si_factors(series.length_unit, series.time_unit) is None
    given = tuple(quantity.symbol for quantity in quantities)
    return Estimate(
        backend=backend,
        identified=quantities,
        covariance=covariance,
        separate=apart,
        ridge="" if apart else ridge(problem, given, has_scale(model), without_units),
        fitted=found.seen,
        initial=np.asarray(unknowns.initial)[problem.window],
        noise_sd=told.noise_sd,
        checks=found.checks,
        trace=found.maximum.trace,
        seconds=time.perf_counter() - started,
        spectrum=spectrum(problem, unknowns, told.scalars, has_scale(model)),
        intervals=found.intervals,
    )
