"""What is made of a network's output: values that hold exactly, bounds that cannot be left."""

from abc import abstractmethod
from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


class AbstractEnvelope(eqx.Module):
    """A smooth map from a point and the network's output there to the values of the field."""

    @abstractmethod
    def __call__(self, point: Float[Array, " axes"], output: Float[Array, " outputs"]) -> Float[Array, " outputs"]:
        """Return the values of the field."""


@final
class Free(AbstractEnvelope):
    """The output is the field."""

    def __call__(self, point: Float[Array, " axes"], output: Float[Array, " outputs"]) -> Float[Array, " outputs"]:
        """Return the output."""
        return output


@final
class Bounded(AbstractEnvelope):
    """A field between two values that it can overshoot a little: an order parameter whose noise-free range is known.

    A margin keeps gradients alive in the bulk, where the field sits on its bounds.
    """

    low: float
    high: float

    def __call__(self, point: Float[Array, " axes"], output: Float[Array, " outputs"]) -> Float[Array, " outputs"]:
        """Return the output on a sigmoid between the bounds."""
        return self.low + (self.high - self.low) * jax.nn.sigmoid(output)


@final
class ZeroAtWalls(AbstractEnvelope):
    """A field that vanishes on the walls of a box of space."""

    low: Float[Array, " space"]
    high: Float[Array, " space"]

    def __call__(self, point: Float[Array, " axes"], output: Float[Array, " outputs"]) -> Float[Array, " outputs"]:
        """Return the output times the product of the distances to the walls, of order one inside."""
        inside = 4.0 * (point[1:] - self.low) * (self.high - point[1:]) / (self.high - self.low) ** 2
        return output * jnp.prod(inside)


@final
class StartsFrom(AbstractEnvelope):
    """A field whose values at time 0 are known."""

    initial: Callable[[Float[Array, " space"]], Float[Array, " outputs"]]
    duration: float

    def __call__(self, point: Float[Array, " axes"], output: Float[Array, " outputs"]) -> Float[Array, " outputs"]:
        """Return the known values and the output, which sets in with time."""
        return self.initial(point[1:]) + point[0] / self.duration * output
