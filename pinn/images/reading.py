"""Image series from files: axes, units and times settled, what cannot be fitted refused."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from pinn.amounts import Amount, known_unit
from pinn.errors import DataRefusedError
from pinn.images.admission import admit
from pinn.images.axes import time_first
from pinn.images.files import Stack, read_stack
from pinn.series import ImageSeries
from pinn.units import METRES, SECONDS

# Edges of a pixel in m: below an atom, or beyond any sample.
_SMALLEST_PIXEL, _LARGEST_PIXEL = 1e-11, 1.0
# What a person told and what the file says may differ by rounding.
_SAME = 0.01


@dataclass(frozen=True)
class Told:
    """What a person says of a file, in addition to what it says itself.

    Attributes:
        axes: letters such as "TYX"; None to have them from the file.
        dataset: name or number of the images in the file; None where there is only one.
        pixel_size: edge of a pixel; None to have it from the file.
        frame_time: between frames; None to have the times from the file.
        time_unit: of times in the file that say none; empty otherwise.
        in_pixels: lengths in pixels and times in frames, because nothing else is known.
    """

    axes: str | None = None
    dataset: str | None = None
    pixel_size: Amount | None = None
    frame_time: Amount | None = None
    time_unit: str = ""
    in_pixels: bool = False


def read_images(path: Path, told: Told) -> ImageSeries:
    """Read a series from a TIFF, NPZ, HDF5 or Zarr file, or from a microscope's format.

    Integers become fractions of their type's largest value; NaN stays where nothing was measured.

    Raises:
        DataRefusedError: the file, its axes, sizes, times or intensities cannot be used.
        MissingPackageError: the format needs a package that is not installed.
    """
    stack = read_stack(path, told.dataset)
    frames = time_first(stack, told.axes, path)
    admit(frames, str(path))
    scale = float(np.iinfo(frames.dtype).max) if frames.dtype.kind in "iu" else 1.0
    series = ImageSeries(frames.astype(np.float64) / scale, np.arange(float(len(frames))))
    if told.in_pixels:
        if told.pixel_size or told.frame_time:
            raise DataRefusedError("--in-pixels and a --pixel-size or --frame-time exclude each other; leave one out")
        return series
    size = _pixel_size(stack, told, path)
    times, unit = _times(stack, told, len(frames), path)
    return replace(series, times=times, pixel_size=size.value, length_unit=size.unit, time_unit=unit)


def _pixel_size(stack: Stack, told: Told, path: Path) -> Amount:
    size, known = told.pixel_size or stack.pixel_size, stack.pixel_size
    if size is None:
        raise DataRefusedError(
            f"{path} has no pixel size; give --pixel-size 0.2um, or --in-pixels for rates in pixels and frames"
        )
    metres = size.value * METRES[size.unit]
    if not _SMALLEST_PIXEL <= metres <= _LARGEST_PIXEL:
        raise DataRefusedError(f"a pixel of {size} is no image of a microstructure; check the unit")
    if known is not None and abs(known.value * METRES[known.unit] / metres - 1.0) > _SAME:
        raise DataRefusedError(f"--pixel-size is {size}, but {path} says {known}; correct one, or export without it")
    return size


def _times(stack: Stack, told: Told, frames: int, path: Path) -> tuple[np.ndarray, str]:
    """Return the times of the frames from the first on, and their unit."""
    if stack.times is None:
        if told.frame_time is None:
            raise DataRefusedError(
                f"{path} has no times; give --frame-time 2s, or --in-pixels for rates in pixels and frames"
            )
        return np.arange(frames) * told.frame_time.value, told.frame_time.unit
    times = _increasing(stack.times, frames, path)
    if told.frame_time is not None:
        _refuse_other_times(times * _seconds(stack, told, path), told.frame_time, path)
        return np.arange(frames) * told.frame_time.value, told.frame_time.unit
    name = known_unit(stack.time_unit or told.time_unit, SECONDS)
    _seconds(stack, told, path)
    return times, str(name)


def _increasing(times: np.ndarray, frames: int, path: Path) -> np.ndarray:
    if times.shape != (frames,) or times.dtype.kind not in "iuf":
        raise DataRefusedError(
            f"{path}: times of {times.shape=}, {times.dtype} for {frames} frames; give one number each"
        )
    times = times.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(times) | np.concatenate(([False], np.diff(times) <= 0.0)))
    if wrong.size:
        number = int(wrong[0])
        raise DataRefusedError(
            f"{path}: time {number} is {times[number]:g}, not later than the one before; sort the frames"
        )
    return times - times[0]


def _seconds(stack: Stack, told: Told, path: Path) -> float:
    """Return how many seconds one unit of the file's times is."""
    said = stack.time_unit or told.time_unit
    unit = known_unit(said, SECONDS)
    if unit is None:
        found = f"in {said!r}" if said else "without a unit"
        raise DataRefusedError(f"{path} has times {found}; give --time-unit, one of {', '.join(SECONDS)}")
    return SECONDS[unit]


def _refuse_other_times(seconds: np.ndarray, frame_time: Amount, path: Path) -> None:
    expected = frame_time.value * SECONDS[frame_time.unit]
    steps = np.diff(seconds)
    worst = int(np.argmax(np.abs(steps / expected - 1.0)))
    if abs(steps[worst] / expected - 1.0) > _SAME:
        raise DataRefusedError(
            f"--frame-time is {frame_time}, but in {path} frame {worst + 1} comes {steps[worst]:g} s later; "
            "leave --frame-time out to use the times of the file"
        )
