"""Where a fit has ended, whichever way it took, and what is known there."""

from dataclasses import dataclass

import numpy as np

from pinn.estimate import Check
from pinn.phase_field.laplace import Information
from pinn.phase_field.problem import Maximum, Problem


@dataclass(frozen=True)
class Found:
    """A maximum with all that an estimate is made of.

    Attributes:
        problem: with the time step of the last search.
        maximum: where it ended.
        seen: what the camera would see there without noise.
        told: the information about the free scalars.
        checks: all that were made.
        intervals: what they are, in a sentence, where they are not simply those of the likelihood.
    """

    problem: Problem
    maximum: Maximum
    seen: np.ndarray
    told: Information
    checks: tuple[Check, ...]
    intervals: str = ""
