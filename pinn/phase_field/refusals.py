"""Settings and image series that no phase-field model can have are refused before anything is fitted."""

from typing import get_args

import numpy as np

from pinn.errors import DataRefusedError
from pinn.phase_field.models import AllenCahn, Camera, Edge, Model
from pinn.series import FEWEST_FRAMES, ImageSeries

MAX_SATURATED = 0.5  # share of pixels at exactly the largest or smallest value


def refuse_setting(model: Model, camera: Camera, initial: np.ndarray | None) -> None:
    """Refuse what cannot be true of any series, before one is read.

    Raises:
        DataRefusedError: names the number and what to give.
    """
    if model.edge not in get_args(Edge):
        raise DataRefusedError(f"{model.edge=}: give one of {get_args(Edge)}")
    if model.edge == "open" and (model.margin_px < 1 or initial is not None):
        raise DataRefusedError(f"{model.margin_px=}: an open edge needs a margin, and an initial field to be inferred")
    if initial is not None and not np.isfinite(initial).all():
        raise DataRefusedError("the initial field has values that are not finite; leave it out to infer it")
    _refuse_camera(camera)
    _refuse_scale(model)


def _refuse_camera(camera: Camera) -> None:
    for name in ("gain", "noise_sd"):
        value = getattr(camera, name)
        if value is not None and not (np.isfinite(value) and value > 0):
            raise DataRefusedError(f"camera.{name}={value}: give a positive number, or None to fit it")
    if camera.blur_px is not None and not camera.blur_px >= 0:
        raise DataRefusedError(f"{camera.blur_px=}: give the standard deviation of the point-spread function in pixels")


def _refuse_scale(model: Model) -> None:
    """Refuse a known number that has another unit or no size."""
    force = model.driving_force if isinstance(model, AllenCahn) else None
    for name, measured, unit in (
        ("driving_force", force, "J/m^3"),
        ("interface_energy", model.interface_energy, "J/m^2"),
    ):
        if measured is None:
            continue
        if measured.unit != unit:
            raise DataRefusedError(f"{name} in {measured.unit!r}: give it in {unit}")
        if not (np.isfinite(measured.value) and measured.value != 0 and np.isfinite(measured.sd) and measured.sd >= 0):
            raise DataRefusedError(f"{name}={measured}: give a finite value that is not 0 and its standard deviation")
        if name == "interface_energy" and measured.value < 0:
            raise DataRefusedError(f"{name}={measured}: an interface has a positive energy")


def refuse_unfit(series: ImageSeries) -> None:
    """Refuse a series that cannot be intensities of an evolving phase field.

    Raises:
        DataRefusedError: wrong axes or times, no or infinite values, constant frames, no change in time, a
            segmentation, or saturated pixels.
    """
    frames = np.asarray(series.frames, float)
    _refuse_shape(frames, np.asarray(series.times, float), series.pixel_size)
    if np.isinf(frames).any():
        raise DataRefusedError(f"frame {_first(np.isinf(frames))} has infinite pixels; mark what is missing as NaN")
    seen = np.asarray(np.isfinite(frames).reshape(len(frames), -1).any(axis=1))
    if seen.sum() < FEWEST_FRAMES:
        raise DataRefusedError(f"{seen.sum()} frames hold pixels; give at least {FEWEST_FRAMES}")
    _refuse_levels(frames, seen)
    known = np.isfinite(frames)
    if not (np.max(frames, 0, initial=-np.inf, where=known) > np.min(frames, 0, initial=np.inf, where=known)).any():
        raise DataRefusedError("no pixel changes between frames; give a series of a scene that evolves")


def _refuse_shape(frames: np.ndarray, times: np.ndarray, pixel_size: float) -> None:
    if not 2 <= frames.ndim <= 4 or min(frames.shape[1:]) < 4:
        raise DataRefusedError(f"{frames.shape=}: give (times, *pixels), one to three axes of at least four pixels")
    if frames.shape[0] < FEWEST_FRAMES:
        raise DataRefusedError(f"{frames.shape[0]} frames; give at least {FEWEST_FRAMES}")
    if times.shape != frames.shape[:1] or not np.isfinite(times).all() or not (np.diff(times) > 0).all():
        raise DataRefusedError(f"{times=}: give one increasing time for each of {frames.shape[0]} frames (axis 0)")
    if not (np.isfinite(pixel_size) and pixel_size > 0):
        raise DataRefusedError(f"{pixel_size=}: give the edge of a pixel as a positive length")


def _refuse_levels(frames: np.ndarray, seen: np.ndarray) -> None:
    """Refuse frames whose values are too few or pile up at the ends of the scale."""
    for number in np.flatnonzero(seen):
        values = frames[number][np.isfinite(frames[number])]
        if values.size > 1 and values.min() == values.max():
            raise DataRefusedError(f"frame {number} is constant at {values[0]:g}; leave it out")
    values = frames[np.isfinite(frames)]
    if np.unique(values).size <= 3:
        raise DataRefusedError(
            f"only the values {np.unique(values)}: a segmentation, which hides the interface; give the intensities"
        )
    low, high = values.min(), values.max()
    if np.mean((values == low) | (values == high)) > MAX_SATURATED:
        raise DataRefusedError(
            f"more than {MAX_SATURATED:.0%} of the pixels are exactly {low:g} or {high:g}: the camera saturates or the "
            "frames are segmented; give the unclipped intensities"
        )


def _first(flags: np.ndarray) -> int:
    return int(np.flatnonzero(flags.reshape(len(flags), -1).any(axis=1))[0])
