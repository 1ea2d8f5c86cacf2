"""Questions that every fit has to answer before its numbers are believed."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from pinn.estimate import Check
from pinn.phase_field.laplace import Information
from pinn.phase_field.problem import Maximum, Problem, Unknowns

SIGMAS = 5.0  # of a statistic under white noise
SLACK = 0.02  # correlation, and share of the noise's variance, that changes no number by its own interval
DECIDED = 0.25  # of the pixels of the first field; blurs of a pixel leave more
RESOLVED_PX, NARROWEST_PX = 1.5, 1.0  # of l, for its value and for any use of its profile


def checks(
    problem: Problem, maximum: Maximum, told: Information, seen: np.ndarray, step_error: float
) -> tuple[Check, ...]:
    """Return the answers for one fit.

    Args:
        problem: the data.
        maximum: where the fit ended.
        told: the information there.
        seen: what the camera would see there without noise.
        step_error: as of the function of that name.
    """
    return (
        *checks_of_fit(problem, maximum, told, seen),
        _first_field(problem, told),
        _step(step_error / told.noise_sd),
    )


def checks_of_fit(problem: Problem, maximum: Maximum, told: Information, seen: np.ndarray) -> tuple[Check, ...]:
    """Return those of the answers that need no solver; arguments are as of `checks`."""
    unknowns = maximum.unknowns
    return (
        Check("converged", maximum.converged, len(maximum.trace), 0, "the search came to rest at a maximum"),
        _white(problem, seen),
        _noise(problem, told, float(unknowns.gain), seen),
        _resolved(unknowns),
        _camera(problem, unknowns),
    )


def width_px(unknowns: Unknowns) -> float:
    """Return l = sqrt(2 a/b)."""
    return float(np.sqrt(2.0) * np.exp(min(0.5 * float(unknowns.log_gradient - unknowns.log_well), 300.0)))


def is_resolved(unknowns: Unknowns) -> bool:
    """Return whether the profile of the interface is the material's rather than the camera's."""
    blur_px = np.sqrt(max(float(unknowns.blur_variance), 0.0))
    return bool(width_px(unknowns) > max(NARROWEST_PX, blur_px))


def _white(problem: Problem, seen: np.ndarray) -> Check:
    """Ask whether neighbouring residuals, in space and time, know of each other."""
    known = np.asarray(problem.known) > 0
    residual = np.asarray(problem.misfit(jnp.asarray(seen)))
    if problem.initial_free:  # it takes up most of the first frame's noise
        known, residual = known[1:], residual[1:]
    correlations = [_neighbours(residual, known, axis) for axis in range(residual.ndim)]
    largest = max((abs(value) / limit for value, limit in correlations), default=0.0)
    reason = "neighbouring residuals are independent"
    if largest >= 1:
        reason = "neighbouring residuals are correlated: the model or the camera leaves something out"
    return Check("white residuals", bool(largest < 1), float(largest), 1.0, reason)


def _neighbours(residual: np.ndarray, known: np.ndarray, axis: int) -> tuple[float, float]:
    """Return the correlation of neighbours along one axis, and what noise alone may show."""
    first, last = np.s_[:-1], np.s_[1:]
    cut = (slice(None),) * axis
    pairs = known[(*cut, first)] & known[(*cut, last)]
    count = max(int(pairs.sum()), 1)
    power = max(float(np.mean(residual[known] ** 2)) if known.any() else 0.0, 1e-300)
    product = np.sum(residual[(*cut, first)] * residual[(*cut, last)] * pairs) / count
    return float(product / power), SLACK + SIGMAS / np.sqrt(count)


def _noise(problem: Problem, told: Information, gain: float, seen: np.ndarray) -> Check:
    """Ask whether the residuals are as large as the noise that was stated, or smaller than the contrast."""
    if problem.noise_free:
        share = told.noise_sd / max(abs(gain), 1e-300)
        return Check("noise below contrast", share < 0.5, share, 0.5, "noise over the contrast of the phases")
    squares = float(jnp.sum(problem.misfit(jnp.asarray(seen)) ** 2))
    off = abs(squares / told.noise_sd**2 / max(told.freedom, 1.0) - 1.0)
    limit = SLACK + SIGMAS * np.sqrt(2.0 / max(told.freedom, 1.0))
    return Check("noise as stated", off < limit, off, limit, "chi^2 per degree of freedom, off one")


def _resolved(unknowns: Unknowns) -> Check:
    width = width_px(unknowns)
    reason = "width of the interface in pixels"
    if width < RESOLVED_PX:
        reason += ": too narrow for the pixels; magnify, and M W is not to be trusted"
    elif not is_resolved(unknowns):
        reason += ": below the point-spread function; only M kappa is given"
    return Check("interface resolved", width >= RESOLVED_PX and is_resolved(unknowns), width, RESOLVED_PX, reason)


def _camera(problem: Problem, unknowns: Unknowns) -> Check:
    """Ask whether the point-spread function can be told from the first field.

    The most probable first field follows the noise of the first frame the better, the less is blurred: fitted together,
    the blur comes out too small, and M W with it, by several of its standard deviations.
    """
    apart = not (problem.initial_free and "blur_variance" in problem.free)
    blur_px = float(np.sqrt(max(float(unknowns.blur_variance), 0.0)))
    reason = "the point-spread function, or the first field, is known"
    if not apart:
        reason = (
            "a point-spread function fitted together with the first field comes out too narrow: measure and give it"
        )
    return Check("point-spread function", apart, blur_px, blur_px, reason)


def _first_field(problem: Problem, told: Information) -> Check:
    """Ask whether the data decide on the first field, or its prior does, which knows nothing of smooth scenes.

    With a tenth of 32 x 32 x 10 pixels they decide on a ninth of it, and M W was 5, 1 and 3 of its deviations off.
    """
    if not problem.initial_free:
        return Check("first field", True, 1.0, DECIDED, "the first field is known")
    known = np.asarray(problem.known)
    taken = known.sum() - len(problem.free) - told.freedom
    share = float(taken / known[0].size)
    return Check("first field", share > DECIDED, share, DECIDED, "share of the first field that the data decide on")


def _step(shift: float) -> Check:
    """Ask what half the time step changes, as the largest shift of any rate in its standard deviations."""
    return Check("time step", shift < 1.0, shift, 1.0, "bound of the shift of any rate by the step, in its deviations")


def step_error(problem: Problem, unknowns: Unknowns, seen: np.ndarray) -> float:
    """Return what half the time step changes, summed in quadrature over known pixels, in intensities.

    Over the noise it bounds the shift of any rate in its standard deviations.
    """
    finer = replace(problem, longest_step=problem.longest_step / 2)
    change = np.asarray(problem.known) * (np.asarray(finer.predicted(unknowns)) - seen)
    return float(np.sqrt(np.sum(change**2)))
