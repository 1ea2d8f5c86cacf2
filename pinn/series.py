"""Images of one scene at known times."""

from dataclasses import dataclass

import numpy as np

# Two frames are met by any pair of rates that gives the second one.
FEWEST_FRAMES = 3


@dataclass(frozen=True)
class ImageSeries:
    """Intensities of one scene, with what turns pixels and frames into lengths and times.

    Attributes:
        frames: intensities, shape (times, *pixels) with one to three pixel axes; NaN where nothing was measured.
        times: when each frame was taken, strictly increasing, in `time_unit`; need not be regular.
        pixel_size: edge of a pixel in `length_unit`, the same along all axes.
        length_unit: such as "um"; "pixel" where no pixel size is known.
        time_unit: such as "s"; "frame" where no frame time is known.
    """

    frames: np.ndarray
    times: np.ndarray
    pixel_size: float = 1.0
    length_unit: str = "pixel"
    time_unit: str = "frame"
