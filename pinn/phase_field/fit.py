"""One call from images to parameters, whichever way to the maximum is taken."""

import time
from dataclasses import replace
from importlib import import_module

import jax
import numpy as np

from pinn.errors import InferenceError
from pinn.estimate import Estimate
from pinn.phase_field.checks import checks, is_resolved, step_shift
from pinn.phase_field.identifiability import ridge, spectrum
from pinn.phase_field.laplace import Information, information
from pinn.phase_field.models import AllenCahn, Camera, Model
from pinn.phase_field.pose import pose
from pinn.phase_field.problem import Maximum, Problem
from pinn.phase_field.quantities import identified, rates_of, refuse_scale, separate
from pinn.phase_field.start import on_ladder, step_for
from pinn.series import ImageSeries
from pinn.units import si_factors

# Each module has `maximise(problem, key) -> Maximum`; it is imported when it is asked for.
BACKENDS = {"solver": "pinn.phase_field.solver", "field": "pinn.phase_field.field", "pinn": "pinn.phase_field.network"}

UNKNOWN_CAMERA = Camera()
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
    every back end.

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
    refuse_scale(model)
    problem = pose(series, model, camera, initial)
    searching, counting = jax.random.split(jax.random.key(seed))
    problem, maximum = _maximised(problem, backend, searching)
    told = information(problem, maximum.unknowns, counting)
    return _concluded(series, model, problem, maximum, told, backend, started)


def _maximised(problem: Problem, backend: str, key: jax.Array) -> tuple[Problem, Maximum]:
    """Return the maximum, searched again with shorter steps where the noise turns out to be small."""
    maximum = import_module(BACKENDS[backend]).maximise(problem, key)
    wanted = step_for(problem, maximum.unknowns)
    for _ in range(REFINEMENTS):
        if wanted >= problem.longest_step:
            break
        problem = replace(problem, longest_step=wanted, start=maximum.unknowns)
        polished = import_module(BACKENDS["solver"]).maximise(problem, key)
        maximum = replace(polished, trace=np.concatenate([maximum.trace, polished.trace]))
        wanted = _shorter(problem, maximum)
    return problem, maximum


def _shorter(problem: Problem, maximum: Maximum) -> float:
    """Return the step as it is where it shifts no rate, else one with which, by the order of four, it would not."""
    unknowns = maximum.unknowns
    seen = np.asarray(problem.seen(problem.fields(unknowns), unknowns))
    shift = step_shift(problem, unknowns, seen, float(np.exp(unknowns.log_noise)))
    return problem.longest_step if shift < 1.0 else on_ladder(problem.longest_step * (2.0 * shift) ** -0.25)


def _concluded(
    series: ImageSeries,
    model: Model,
    problem: Problem,
    maximum: Maximum,
    told: Information,
    backend: str,
    started: float,
) -> Estimate:
    unknowns = maximum.unknowns
    seen = np.asarray(problem.seen(problem.fields(unknowns), unknowns))
    rates = rates_of(problem, unknowns, told.scalars, series)
    quantities, covariance = identified(rates, series, problem.kind, is_resolved(unknowns))
    apart = separate(rates, series, model) if is_resolved(unknowns) else ()
    known_force = isinstance(model, AllenCahn) and model.driving_force is not None
    known_scale = known_force or model.interface_energy is not None
    inner = tuple(slice(first, first + size) for first, size in zip(problem.corner, seen.shape[1:], strict=True))
    without_units = si_factors(series.length_unit, series.time_unit) is None
    given = tuple(quantity.symbol for quantity in quantities)
    return Estimate(
        backend=backend,
        identified=quantities,
        covariance=covariance,
        separate=apart,
        ridge="" if apart else ridge(problem, given, known_scale, without_units),
        fitted=seen,
        initial=np.asarray(unknowns.initial)[inner],
        noise_sd=told.noise_sd,
        checks=checks(problem, maximum, told, seen),
        trace=maximum.trace,
        seconds=time.perf_counter() - started,
        spectrum=spectrum(problem, unknowns, told.scalars, known_scale),
    )
