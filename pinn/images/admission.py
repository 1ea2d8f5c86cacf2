"""Whether intensities can be what a camera saw of a phase field: what cannot is refused, frame by frame."""

import numpy as np

from pinn.errors import DataRefusedError
from pinn.series import FEWEST_FRAMES

# Pixels along an axis: an interface and both phases beside it.
_FEWEST_PIXELS = 8
# Share of a frame's pixels at one end of the scale from which that end was cut: of unbounded noise, one pixel is there.
_CLIPPED = 0.01
# Share of pixels at two values alone from which the edges of a segmentation were at most smoothed.
_SEGMENTED = 0.98
_FULL_SCALES = (255, 1023, 4095, 16383, 65535)
# Beyond it squares lose the digits that a fit needs; no detector counts that far.
_LARGEST = 1e12


def admit(frames: np.ndarray, place: str) -> None:
    """Refuse frames that a phase field cannot be fitted to; NaN is a pixel that was not measured.

    Args:
        frames: as in the file, integers included, shape (times, *pixels).
        place: file that the message names.

    Raises:
        DataRefusedError: names the frame, the value found and the remedy.
    """
    if frames.dtype.kind == "b":
        raise DataRefusedError(f"{place}: pixels are true or false: a segmentation; {_NO_SEGMENTATION}")
    if frames.dtype.kind not in "iuf":
        raise DataRefusedError(f"{place}: pixels of type {frames.dtype} are no intensities; save real numbers")
    if not 2 <= frames.ndim <= 4:
        raise DataRefusedError(f"{place}: {frames.shape=}; time and one to three axes of space are needed")
    if min(frames.shape[1:]) < _FEWEST_PIXELS:
        raise DataRefusedError(
            f"{place}: frames of {frames.shape[1:]} pixels; at least {_FEWEST_PIXELS} an axis are needed"
        )
    _refuse_values(frames, place)
    _refuse_frames(frames, place)
    _refuse_segmentation(frames, place)
    _refuse_clipped(frames, place)


_NO_SEGMENTATION = (
    "its edges are where somebody's threshold was, and rates from it are wrong by up to a factor of 20; "
    "give the intensities it was made from"
)


def _refuse_values(frames: np.ndarray, place: str) -> None:
    for number, frame in enumerate(frames):
        if np.isinf(frame).any():
            raise DataRefusedError(f"{place}: frame {number} has infinite pixels; write NaN where nothing was measured")
        known = frame[~np.isnan(frame)] if frame.dtype.kind == "f" else frame
        if known.size and max(abs(float(known.min())), abs(float(known.max()))) > _LARGEST:
            raise DataRefusedError(f"{place}: frame {number} has a pixel beyond {_LARGEST:g}; is the byte order right?")


def _refuse_frames(frames: np.ndarray, place: str) -> None:
    measured = [number for number, frame in enumerate(frames) if not np.isnan(frame).all()]
    if len(measured) < FEWEST_FRAMES:
        raise DataRefusedError(
            f"{place}: {len(measured)} frames with pixels of {len(frames)}; "
            f"rates need {FEWEST_FRAMES}, and 10 or more are better"
        )
    before = None
    for number in measured:
        frame = frames[number]
        if np.nanmax(frame) == np.nanmin(frame):
            raise DataRefusedError(
                f"{place}: frame {number} is {np.nanmin(frame):g} everywhere; leave it out or write NaN"
            )
        if before is not None and np.array_equal(frame, frames[before], equal_nan=frame.dtype.kind == "f"):
            raise DataRefusedError(f"{place}: frame {number} is an exact copy of frame {before}; leave the copy out")
        before = number


def _refuse_segmentation(frames: np.ndarray, place: str) -> None:
    known = frames[~np.isnan(frames)] if frames.dtype.kind == "f" else frames.ravel()
    values, counts = np.unique(known, return_counts=True)
    share = np.sort(counts)[-2:].sum() / known.size
    if share >= _SEGMENTED:
        raise DataRefusedError(
            f"{place}: {share:.1%} of the pixels have one of two values: a segmentation; {_NO_SEGMENTATION}"
        )
    if len(values) <= 4:
        raise DataRefusedError(
            f"{place}: only {len(values)} values, labels rather than intensities; {_NO_SEGMENTATION}"
        )


def _refuse_clipped(frames: np.ndarray, place: str) -> None:
    low, high = float(np.nanmin(frames)), float(np.nanmax(frames))
    for value, ends in ((high, "highest"), (low, "lowest")):
        for number, frame in enumerate(frames):
            share = float(np.mean(frame == value))
            if share > _CLIPPED and _is_wall(frame, value, low, high):
                raise DataRefusedError(
                    f"{place}: {share:.1%} of frame {number} is at {value:g}, the {ends} value: saturated; "
                    "lower the exposure, or export without stretching the contrast"
                )


def _is_wall(frame: np.ndarray, value: float, low: float, high: float) -> bool:
    """Return whether a value is where a detector or an export cut, not the level of a phase without any noise."""
    if frame.dtype.kind in "iu":
        return value == 0 or value in _FULL_SCALES or value == np.iinfo(frame.dtype).max
    # Second differences are noise wherever the field is flat; a field without noise has next to none of them.
    inside = np.where((frame > low) & (frame < high), frame.astype(float), np.nan)
    bends = np.abs(np.diff(inside, n=2, axis=-1))
    bends = bends[~np.isnan(bends)]
    return bends.size == 0 or float(np.median(bends)) > 1e-3 * (high - low)
