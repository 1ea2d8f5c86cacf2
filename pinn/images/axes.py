"""Which axis of a stack is time: told by a person, told by the file, or evident; refused where these disagree."""

from pathlib import Path

import numpy as np

from pinn.errors import DataRefusedError
from pinn.images.files import Stack

# Two axes that differ less than this in mean squared step look alike; more than that, they do not.
_ALIKE, _UNLIKE = 1.25, 3.0
_EXAMPLES = {2: "TX", 3: "TYX", 4: "TZYX"}


def time_first(stack: Stack, told: str | None, path: Path) -> np.ndarray:
    """Return the pixels with time as first axis, then the axes of space in the order of the file.

    Args:
        stack: what the file has.
        told: letters of T, Z, Y, X, one an axis, or None where only the file can say.
        path: of the file, for the message.

    Raises:
        DataRefusedError: colours or channels, no time axis told or evident, or one that the pixels contradict.
    """
    values, axes = _without_single(stack.values, stack.axes, told)
    _refuse_colours(values, axes, path)
    if told is not None:
        axes = _as_told(told.upper(), axes, values.shape, path)
    if "T" not in axes:
        axes = _evident(axes, values.shape, path)
    time = axes.index("T")
    _refuse_contradicted(values, time, axes, path)
    return np.moveaxis(values, time, 0)


def _without_single(values: np.ndarray, axes: str, told: str | None) -> tuple[np.ndarray, str]:
    """Drop axes of length one, of which formats have many, unless they were told."""
    if told is not None and len(told) == values.ndim:
        return values, axes
    kept = [i for i, letter in enumerate(axes) if values.shape[i] != 1 or letter == "T"]
    return values.reshape([values.shape[i] for i in kept]), "".join(axes[i] for i in kept)


def _refuse_colours(values: np.ndarray, axes: str, path: Path) -> None:
    bytes_of_colour = (
        values.dtype == np.uint8 and axes.endswith("?") and values.ndim >= 3 and values.shape[-1] in (3, 4)
    )
    if "S" in axes or bytes_of_colour:
        raise DataRefusedError(f"{path}: {values.shape[-1]} colours a pixel; save the grey intensities of one detector")
    if "C" in axes:
        count = values.shape[axes.index("C")]
        raise DataRefusedError(f"{path}: {count} channels; save the one that shows the phases")


def _as_told(told: str, axes: str, shape: tuple[int, ...], path: Path) -> str:
    if len(told) != len(shape):
        raise DataRefusedError(f"{path}: --axes {told} has {len(told)} letters, the images {len(shape)} axes {shape}")
    if told.count("T") != 1 or len(set(told)) != len(told) or set(told) - set("TZYX"):
        raise DataRefusedError(f"{path}: --axes {told} must be T and some of Z, Y, X, once each, such as TYX")
    for place, (said, known) in enumerate(zip(told, axes, strict=True)):
        if known != said and "T" in (known, said) and known != "?":
            raise DataRefusedError(f"{path}: --axes {told} calls axis {place} {said}, the file {known}; correct one")
    return told


def _evident(axes: str, shape: tuple[int, ...], path: Path) -> str:
    """Return the letters with the time axis found: the one unknown axis, or the only length that differs."""
    unknown = [i for i, letter in enumerate(axes) if letter == "?"]
    odd = [i for i in unknown if shape.count(shape[i]) == 1] if len(shape) >= 3 else []
    for places in (unknown, odd):
        if len(places) == 1 and len(set(shape)) > 1:
            return axes[: places[0]] + "T" + axes[places[0] + 1 :]
    example = _EXAMPLES.get(len(shape), "TYX")
    raise DataRefusedError(f"{path}: which axis of {shape} is time is neither told nor evident; say --axes {example}")


def _refuse_contradicted(values: np.ndarray, time: int, axes: str, path: Path) -> None:
    """Refuse a time axis that looks like space, while an axis of space looks like no other and has its own length."""
    if values.ndim != 3 or values.dtype.kind not in "iuf" or min(values.shape) < 2:
        return
    rough = [_roughness(values, axis) for axis in range(3)]
    for place in {0, 1, 2} - {time}:
        first, second = sorted({0, 1, 2} - {place})
        as_space = _ratio(rough[first], rough[second])
        told_space = _ratio(*(rough[axis] for axis in sorted({0, 1, 2} - {time})))
        if (
            values.shape[first] == values.shape[second] != values.shape[place]
            and as_space < _ALIKE
            and told_space > _UNLIKE
        ):
            raise DataRefusedError(
                f"{path}: axis {time} of {values.shape} is taken for time ({axes}), but steps along it are like those "
                f"along axis {first + second - time}, and axis {place} is unlike both; correct --axes"
            )


def _roughness(values: np.ndarray, axis: int) -> float:
    """Return the mean squared step along an axis."""
    with np.errstate(all="ignore"):
        return float(np.nanmean(np.square(np.diff(values.astype(float), axis=axis))))


def _ratio(first: float, second: float) -> float:
    small, large = sorted((first, second))
    return large / small if small > 0.0 else float("inf" if large > 0.0 else "nan")
