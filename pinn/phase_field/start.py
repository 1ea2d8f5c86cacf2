"""Start values from the images: levels of the camera, width of the interface, and a coarse scan for the rates."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from pinn.phase_field.models import Camera
from pinn.phase_field.problem import Problem, Unknowns

SMOOTHING_PX = 1.0  # noise of a tenth of the contrast is then too small to widen the interface
SCANNED = 12  # candidates of the rate, evenly spaced in its logarithm
SMALLEST_SHRINKAGE_PX2 = 0.2  # slower series do not move by a tenth of a pixel
DRIVES = (-0.06, 0.0, 0.06)  # candidates of dG/W
STABLE_STEP = 1.2  # times the fastest rate; of the scan, which needs no digits
ACCURATE_STEP, ACCURATE_ERROR = 0.3, 3e-5  # the same for a fit, and the root mean square error of its fields


def levels(frames: np.ndarray, camera: Camera) -> tuple[float, float]:
    """Return gain and offset as far as known, else from the intensities that 5 % of the pixels lie beyond."""
    low, high = np.nanpercentile(frames, (5.0, 95.0))
    offset = low if camera.offset is None else camera.offset
    return float(high - offset if camera.gain is None else camera.gain), float(offset)


def pixel_noise(frames: np.ndarray) -> float:
    """Return the standard deviation of white noise, from second differences along every axis of space; 0 without any.

    They leave little of a smooth scene; the median leaves out what interfaces add. After Immerkaer (1996,
    10.1006/cviu.1996.0060).
    """
    for axis in range(1, frames.ndim):
        frames = np.diff(frames, n=2, axis=axis)
    known = np.abs(frames[np.isfinite(frames)])
    return float(np.median(known) / 0.6745 / 6 ** ((frames.ndim - 1) / 2)) if known.size else 0.0


def smoothed(field: np.ndarray, sd_px: float) -> np.ndarray:
    """Return a field behind a Gaussian, gaps filled from their surroundings."""
    from scipy.ndimage import gaussian_filter

    known = np.isfinite(field)
    values, weights = np.where(known, field, 0.0), known.astype(float)
    filled = gaussian_filter(values, sd_px, mode="nearest")
    mass = gaussian_filter(weights, sd_px, mode="nearest")
    # Where a gap is wide: ever wider ones, each a thousand times less heavy, so that the nearest known pixels decide.
    for doubling in range(1, 12):
        if mass.min() > 1e-3 ** (doubling + 1):
            break
        width, heaviness = sd_px * 2.0**doubling, 1e-3**doubling
        filled += heaviness * gaussian_filter(values, width, mode="nearest")
        mass += heaviness * gaussian_filter(weights, width, mode="nearest")
    return filled / np.maximum(mass, 1e-300)


def interface_width_px(phi: np.ndarray) -> float:
    """Return l from |grad phi| = (2/l) phi (1 - phi), less what the smoothing adds, for frames (times, *pixels).

    Frames of hardly a pixel each have no gradient: l is a quarter of the scene then, and never more.
    """
    gradients = [np.gradient(phi, axis=axis) for axis in range(1, phi.ndim)]
    inside = np.clip(phi, 0.0, 1.0)
    square = 4.0 * np.sum((inside * (1 - inside)) ** 2) / max(np.sum(np.square(gradients)), 1e-300)
    widest = max(min(phi.shape[1:]) / 4.0, 1.0)
    return float(np.sqrt(np.clip(square - 2.6 * SMOOTHING_PX**2, 1.0, widest**2)))


def first_guess(frames: np.ndarray, camera: Camera, initial: np.ndarray | None, margin: int) -> tuple[Unknowns, float]:
    """Return unknowns with rates still to be scanned, and the width of the interface in px.

    Args:
        frames: intensities, NaN where nothing was measured.
        camera: what is known of it.
        initial: the order parameter at the first time where it is known.
        margin: pixels of the grid beyond each edge of the frames.
    """
    gain, offset = levels(frames, camera)
    phi = np.stack([smoothed((frame - offset) / gain, SMOOTHING_PX) for frame in frames])
    begin = np.clip(phi[0], 0.0, 1.0) if initial is None else initial
    scalars = {
        "log_gradient": 0.0,
        "log_well": 0.0,
        "drive": 0.0,
        "gain": gain,
        "offset": offset,
        "blur_variance": (camera.blur_px or 0.0) ** 2,
        "log_noise": np.log(camera.noise_sd or 1.0),
    }
    arrays = {name: jnp.asarray(float(number)) for name, number in scalars.items()}
    start = Unknowns(**arrays, initial=jnp.asarray(np.pad(begin, margin, mode="edge")))
    return start, interface_width_px(phi)


def scanned(problem: Problem, width_px: float) -> Problem:
    """Return the problem with rates, noise and time step from the best of a scan over candidates."""
    candidates = _candidates(problem, width_px)
    fastest = max(_fastest(problem.kind, np.exp(a), np.exp(b), c) for a, b, c in candidates)
    coarse = replace(problem, longest_step=on_ladder(STABLE_STEP / fastest))
    squares = np.asarray(_mean_squares(coarse, jnp.asarray(candidates)))
    best = int(np.nanargmin(squares))
    gradient, well, drive = candidates[best]
    start = eqx.tree_at(
        lambda tree: (tree.log_gradient, tree.log_well, tree.drive),
        problem.start,
        tuple(jnp.asarray(number) for number in (gradient, well, drive)),
    )
    if problem.noise_free:
        start = eqx.tree_at(lambda tree: tree.log_noise, start, jnp.asarray(0.5 * np.log(squares[best])))
    step = ACCURATE_STEP / _fastest(problem.kind, np.exp(gradient), np.exp(well), drive)
    return replace(problem, start=start, longest_step=on_ladder(step))


def step_for(problem: Problem, unknowns: Unknowns) -> float:
    """Return a step whose error, coherent over all data, stays within a third of any standard deviation.

    The error in a field is about `ACCURATE_ERROR` at `ACCURATE_STEP`, of order four; no step is less than a third of
    the problem's own.
    """
    rates = float(np.exp(unknowns.log_gradient)), float(np.exp(unknowns.log_well)), float(unknowns.drive)
    allowed = float(np.exp(unknowns.log_noise) / abs(unknowns.gain) / np.sqrt(np.sum(problem.known))) / 3
    # Rates that ran to zero, because nothing moves as the equation has it, allow any step.
    fastest = max(_fastest(problem.kind, *rates), 1e-300)
    steps = ACCURATE_STEP * min((allowed / ACCURATE_ERROR) ** 0.25, 1.0) / fastest
    return min(max(on_ladder(steps), problem.longest_step / 3), problem.longest_step)


def on_ladder(step: float) -> float:
    """Return the next shorter step of a fixed ladder, ten rungs a decade: equal steps need no new compilation."""
    return float(10 ** (np.floor(10 * np.log10(step)) / 10))


def _candidates(problem: Problem, width_px: float) -> np.ndarray:
    """Return rows of ln a, ln b, c with the width that the images show, and shrinkages up to that of a large grain."""
    largest = (min(problem.grid.shape) / 4) ** 2
    if problem.kind == "cahn-hilliard":  # the fourth power, and the time of coarsening over l^3
        rates = np.geomspace(SMALLEST_SHRINKAGE_PX2 * width_px**2, largest * width_px**2, SCANNED)
    else:
        rates = np.geomspace(SMALLEST_SHRINKAGE_PX2, largest, SCANNED)
    drives = DRIVES if "drive" in problem.free else (0.0,)
    rows = [(np.log(a), np.log(2 * a / width_px**2), 2 * a / width_px**2 * drive) for a in rates for drive in drives]
    return np.array(rows)


def _fastest(kind: str, gradient: float, well: float, drive: float) -> float:
    """Return the fastest rate that the solver does not step exactly, per duration."""
    return well**2 / gradient if kind == "cahn-hilliard" else well + 2 * abs(drive)


@jax.jit
def _mean_squares(problem: Problem, candidates: Float[Array, "n 3"]) -> Float[Array, " n"]:
    """Return the mean square of the misfit of each candidate."""

    def one(row: Float[Array, " 3"]) -> Float[Array, ""]:
        unknowns = eqx.tree_at(lambda tree: (tree.log_gradient, tree.log_well, tree.drive), problem.start, tuple(row))
        return jnp.sum(problem.misfit(problem.predicted(unknowns)) ** 2) / jnp.sum(problem.known)

    return jax.lax.map(one, candidates)
