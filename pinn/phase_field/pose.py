"""From images and what a person knows to a problem with start values and priors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from physics.phase_field.grid import Grid
from pinn.errors import DataRefusedError
from pinn.phase_field.models import AllenCahn, Camera, Model
from pinn.phase_field.problem import SCALARS, Problem, Unknowns
from pinn.phase_field.refusals import refuse_setting, refuse_unfit
from pinn.phase_field.start import first_guess, scanned
from pinn.series import ImageSeries

# Standard deviation of the prior of an unknown initial pixel about 1/2: two phases are 1 apart. It decides only on
# what no frame shows, such as modes that the point-spread function removes.
INITIAL_SD = 1.0


def pose(series: ImageSeries, model: Model, camera: Camera, initial: np.ndarray | None = None) -> Problem:
    """Return the problem of one series, with start values from the images and flat priors for all scalars.

    Args:
        series: the data.
        model: the equation and what is known of its scale.
        camera: what is known of the camera.
        initial: the order parameter at the first time where it is known, shape (*pixels); None to infer it.

    Raises:
        DataRefusedError: the series is no intensities of an evolving phase field, or a setting does not fit it.
    """
    refuse_setting(model, camera, initial)
    refuse_unfit(series)
    frames, times = np.asarray(series.frames, float), np.asarray(series.times, float)
    if initial is not None and np.shape(initial) != frames.shape[1:]:
        raise DataRefusedError(f"{np.shape(initial)=}: give it on the pixels of a frame, {frames.shape[1:]}")
    margin = model.margin_px if model.edge == "open" else 0
    start, width_px = first_guess(frames, camera, initial, margin)
    elapsed = (times - times[0]) / (times[-1] - times[0])
    problem = Problem(
        measured=jnp.asarray(np.nan_to_num(frames)),
        known=jnp.asarray(np.isfinite(frames), float),
        centre=eqx.tree_at(lambda tree: tree.initial, start, jnp.full_like(start.initial, 0.5)),
        precision=_precision(start, initial is None),
        start=start,
        times=tuple(elapsed.tolist()),
        grid=Grid(start.initial.shape, 1.0, "periodic" if model.edge == "periodic" else "no-flux"),
        corner=(margin,) * (frames.ndim - 1),
        kind="allen-cahn" if isinstance(model, AllenCahn) else "cahn-hilliard",
        blurs=camera.blur_px != 0.0,
        pixel_average=camera.pixel_average,
        free=_free(model, camera),
        noise_free=camera.noise_sd is None,
        initial_free=initial is None,
        longest_step=1.0,
    )
    return scanned(problem, width_px)


def _free(model: Model, camera: Camera) -> tuple[str, ...]:
    driven = isinstance(model, AllenCahn) and (model.driven or model.driving_force is not None)
    fitted = (True, True, driven, camera.gain is None, camera.offset is None, camera.blur_px is None, False)
    return tuple(name for name, free in zip(SCALARS, fitted, strict=True) if free)


def _precision(start: Unknowns, initial_free: bool) -> Unknowns:
    """Return prior precisions: flat for scalars, and for an initial field that is known."""
    flat = jax.tree.map(jnp.zeros_like, start)
    initial = jnp.full_like(start.initial, INITIAL_SD**-2 if initial_free else 0.0)
    return eqx.tree_at(lambda tree: tree.initial, flat, initial)
