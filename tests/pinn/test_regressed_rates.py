"""Rates to begin with have the right size, also where an interface enters and a scan finds none."""

from dataclasses import replace

import made
import numpy as np
import pytest

from pinn.errors import DataRefusedError
from pinn.phase_field.models import AllenCahn, CahnHilliard, Camera
from pinn.phase_field.pose import pose
from pinn.phase_field.regression import with_regressed_rates

KNOWN = Camera(1.0, 0.0, 0.0)


@pytest.mark.parametrize("drive", [0.0, made.DRIVE])
def test_rates_have_the_right_size_and_noise_is_that_of_the_images(drive):
    data = made.series(drive)
    frames = np.where(np.random.default_rng(0).random(data.frames.shape) < 0.2, np.nan, data.frames)
    frames[3] = np.nan
    problem = pose(replace(data, frames=frames), AllenCahn(driven=drive > 0), KNOWN)
    wrong = replace(problem, start=replace(problem.start, log_gradient=problem.start.log_gradient - 5.0))
    begun = with_regressed_rates(wrong).start
    duration = made.TIMES[-1]
    assert abs(float(begun.log_gradient) - np.log(made.GRADIENT * duration)) < np.log(4.0)
    assert abs(float(begun.log_well) - np.log(made.WELL * duration)) < np.log(4.0)
    assert (float(begun.drive) > 0) == (drive > 0)
    assert made.NOISE / 2 < np.exp(float(begun.log_noise)) < 4 * made.NOISE


def test_a_composition_and_tiny_images_are_refused():
    data = made.series()
    with pytest.raises(DataRefusedError, match="cahn-hilliard"):
        with_regressed_rates(pose(data, CahnHilliard(), KNOWN))
    with pytest.raises(DataRefusedError, match="7 px"):
        with_regressed_rates(pose(replace(data, frames=data.frames[:, :6, :6]), AllenCahn(), KNOWN))
