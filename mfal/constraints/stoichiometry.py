"""A ratio between groups of elements, such as M:X = 1:2, which charge balance does not imply."""

from collections.abc import Sequence
from typing import final

import numpy as np

from mfal.constraints.base import AbstractProjection
from mfal.constraints.hyperplane import checked_normal, hyperplane_slack, projected
from mfal.errors import ConstraintError
from mfal.types import Array, Float


@final
class Ratio(AbstractProjection):
    """The amounts of two groups of elements stand in a fixed ratio; other elements are free.

    Attributes:
        normal: coefficients of the linear form that vanishes, scaled to a largest one of 1.
    """

    normal: Float[Array, " d"]

    @staticmethod
    def of(elements: Sequence[str], left: Sequence[str], right: Sequence[str], parts: tuple[float, float]) -> "Ratio":
        """Build the condition left : right = parts on fractions in the order of `elements`.

        Raises:
            ConstraintError: a group is empty or not among the elements, the groups overlap, or a part is not positive.
        """
        if not left or not right or set(left) & set(right):
            raise ConstraintError(f"{left=} and {right=} must be two groups without a common element, neither empty")
        missing = sorted({*left, *right} - set(elements))
        if missing:
            raise ConstraintError(f"{missing=} of a ratio are not among {list(elements)=}: correct the ratio")
        if not all(np.isfinite(part) and part > 0.0 for part in parts):
            raise ConstraintError(f"{parts=} of {left=}:{right=} are not positive: give two positive numbers")
        coefficients = [parts[1] * (symbol in left) - parts[0] * (symbol in right) for symbol in elements]
        return Ratio(checked_normal(np.array(coefficients, dtype=float), f"ratio of {left=} to {right=}"))

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return minus the distance to the compositions of this ratio, in units of a fraction."""
        return hyperplane_slack(self.normal, x)

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the nearest fractions of this ratio."""
        return projected(self.normal, x)
