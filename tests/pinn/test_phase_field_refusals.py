"""Series and settings that no fit may start from."""

from dataclasses import replace

import made
import numpy as np
import pytest

from pinn.amounts import Measured
from pinn.errors import DataRefusedError, InferenceError
from pinn.phase_field.fit import fit
from pinn.phase_field.models import AllenCahn, Camera
from pinn.phase_field.pose import pose
from pinn.phase_field.refusals import refuse_unfit
from pinn.series import ImageSeries

KNOWN = Camera(1.0, 0.0, 0.0)


def changed(**changes) -> ImageSeries:
    return replace(made.series(), **changes)


def with_frames(change) -> ImageSeries:
    return changed(frames=change(made.series().frames.copy()))


def constant(frames):
    frames[3] = 0.5
    return frames


def infinite(frames):
    frames[4, 2, 2] = np.inf
    return frames


def mostly_missing(frames):
    frames[2:] = np.nan
    return frames


REFUSED = {
    "segmentation": (with_frames(lambda frames: (frames > 0.5).astype(float)), "segmentation"),
    "saturated": (with_frames(lambda frames: np.clip(frames, 0.3, 0.7)), "saturates"),
    "constant": (with_frames(constant), "frame 3 is constant"),
    "infinite": (with_frames(infinite), "frame 4 has infinite"),
    "no change": (with_frames(lambda frames: np.repeat(frames[:1], 9, axis=0)), "no pixel changes"),
    "two frames": (changed(frames=made.series().frames[:2], times=made.TIMES[:2]), "2 frames"),
    "frames without pixels": (with_frames(mostly_missing), "2 frames hold pixels"),
    "axis order": (with_frames(lambda frames: np.moveaxis(frames, 0, -1)), "axis 0"),
    "times fall": (changed(times=made.TIMES[::-1]), "increasing time"),
    "colour": (with_frames(lambda frames: frames[..., None]), "at least four pixels"),
    "pixel size": (changed(pixel_size=0.0), "positive length"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_series_that_are_no_intensities_are_refused(name):
    data, words = REFUSED[name]
    with pytest.raises(DataRefusedError, match=words):
        refuse_unfit(data)


@pytest.mark.parametrize(
    ("model", "camera", "initial", "words"),
    [
        (AllenCahn(edge="open", margin_px=0), KNOWN, None, "margin"),
        (AllenCahn(), Camera(gain=-1.0), None, "camera.gain"),
        (AllenCahn(), Camera(blur_px=-1.0), None, "blur_px"),
        (AllenCahn(), KNOWN, np.zeros((4, 4)), "on the pixels"),
    ],
)
def test_settings_that_do_not_fit_are_refused(model, camera, initial, words):
    with pytest.raises(DataRefusedError, match=words):
        pose(made.series(), model, camera, initial)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (AllenCahn(driving_force=Measured(3.0, 0.1, "MPa")), "J/m\\^3"),
        (AllenCahn(driving_force=Measured(0.0, 0.1, "J/m^3")), "not 0"),
        (AllenCahn(interface_energy=Measured(-0.5, 0.1, "J/m^2")), "positive energy"),
    ],
)
def test_scales_without_sense_are_refused(model, words):
    with pytest.raises(DataRefusedError, match=words):
        fit(made.series(), model, KNOWN)


def test_unknown_back_end_is_refused():
    with pytest.raises(InferenceError, match="solver"):
        fit(made.series(), AllenCahn(), KNOWN, backend="magic")
