"""Noise of displacements by their second differences, whatever the material."""

import numpy as np
from jaxtyping import Float

from pinn.stiffness.data import GrainFields

# Fields without noise have one all the same, or weights would be infinite; relative to the displacements.
_LEAST = 1e-7


def pixel_noise(fields: GrainFields) -> float:
    """Return the standard deviation of the noise of a displacement, in the length unit of the fields.

    The median of second differences: displacements are smooth but for kinks along the boundaries of grains.
    """
    differences = np.concatenate([_second_differences(load.displacement) for load in fields.loads])
    least = _LEAST * max(float(np.nanstd(load.displacement)) for load in fields.loads)
    # Of white noise, a second difference has a variance of 1 + 4 + 1, and the median of its size is 0.6745 sd.
    return max(float(np.median(np.abs(differences))) / 0.6745 / np.sqrt(6.0), least)


def _second_differences(displacement: Float[np.ndarray, "d *points"]) -> Float[np.ndarray, " n"]:
    found = [np.diff(displacement, 2, axis=axis).ravel() for axis in range(1, displacement.ndim)]
    every = np.concatenate(found)
    return every[np.isfinite(every)]
