"""Image series that no phase-field model describes are refused before anything is fitted."""

import numpy as np

from pinn.errors import DataRefusedError
from pinn.series import ImageSeries

MIN_FRAMES = 3  # two frames are met by any pair of rates that gives the second one
MAX_SATURATED = 0.5  # share of pixels at exactly the largest or smallest value


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
    if seen.sum() < MIN_FRAMES:
        raise DataRefusedError(f"{seen.sum()} frames hold pixels; give at least {MIN_FRAMES}")
    _refuse_levels(frames, seen)
    known = np.isfinite(frames)
    if not (np.max(frames, 0, initial=-np.inf, where=known) > np.min(frames, 0, initial=np.inf, where=known)).any():
        raise DataRefusedError("no pixel changes between frames; give a series of a scene that evolves")


def _refuse_shape(frames: np.ndarray, times: np.ndarray, pixel_size: float) -> None:
    if not 2 <= frames.ndim <= 4 or min(frames.shape[1:]) < 4:
        raise DataRefusedError(f"{frames.shape=}: give (times, *pixels), one to three axes of at least four pixels")
    if frames.shape[0] < MIN_FRAMES:
        raise DataRefusedError(f"{frames.shape[0]} frames; give at least {MIN_FRAMES}")
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
