"""Compositions by free parameters: a softmax that knows element bounds, for networks and for gradients without a set.

With element bounds l <= x <= u and free parameters z,

    x_i = l_i + (u_i - l_i) / (1 + exp(-(z_i + t))),    t such that the x_i sum to one

which reaches every composition strictly inside the bounds, and those on them in the limit: nothing is rescaled. (It is
the projection onto the bounded simplex in the Fermi-Dirac entropy; as the upper bounds recede it becomes
l + (1 - sum l) softmax(z).) t is found by bisection, and its gradient by the implicit function theorem.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.errors import ConstraintError
from mfal.types import Array, Float


class Compositions(eqx.Module):
    """All compositions between element bounds.

    Attributes:
        lower: least fraction of each element.
        upper: greatest fraction of each element.
    """

    lower: Float[Array, " d"]
    upper: Float[Array, " d"]

    @staticmethod
    def between(lower: Sequence[float] | np.ndarray, upper: Sequence[float] | np.ndarray) -> "Compositions":
        """Return the compositions between element bounds; refuse bounds that leave no room."""
        least, most = np.asarray(lower, float), np.asarray(upper, float)
        if (least < 0.0).any() or (most > 1.0).any() or (least > most).any():
            raise ConstraintError(f"element bounds need 0 <= lower <= upper <= 1: {lower=}, {upper=}")
        if not least.sum() + _ROOM < 1.0 < most.sum() - _ROOM:
            raise ConstraintError(f"no composition has room between these bounds, widen them: {lower=}, {upper=}")
        return Compositions(jnp.asarray(least), jnp.asarray(most))

    def composition(self, free: Float[Array, " d"]) -> Float[Array, " d"]:
        """Return the composition of unconstrained parameters: within bounds, sum one to rounding."""
        free, width = jnp.clip(free, -_EXTREME, _EXTREME), self.upper - self.lower
        shift = jax.lax.stop_gradient(_shift(free, self.lower, width))
        share = jax.nn.sigmoid(free + shift)
        excess = jnp.sum(self.lower + width * share) - 1.0
        # One Newton step from the root: it moves nothing, and its derivative is that of the implicit function.
        slope = jax.lax.stop_gradient(jnp.sum(width * share * (1.0 - share)))
        share = jax.nn.sigmoid(free + shift - excess / jnp.maximum(slope, _FLAT))
        # Rounding of the last digit may not pass a bound.
        return jnp.minimum(self.lower + width * share, self.upper)


# Least room between the bounds and a composition, and least slope that a Newton step is taken on.
_ROOM, _FLAT = 1e-9, 1e-12
# Parameters beyond this differ from an element bound by less than 1e-13.
_EXTREME = 30.0
_HALVINGS = 64


def _shift(free: Float[Array, " d"], lower: Float[Array, " d"], width: Float[Array, " d"]) -> Float[Array, ""]:
    """Return t by bisection: the sum rises with t."""

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        middle = 0.5 * (bracket[0] + bracket[1])
        over = jnp.sum(lower + width * jax.nn.sigmoid(free + middle)) > 1.0
        return jnp.where(over, bracket[0], middle), jnp.where(over, middle, bracket[1])

    ends = -_EXTREME - jnp.max(free), _EXTREME - jnp.min(free)
    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, ends)
    return 0.5 * (low + high)
