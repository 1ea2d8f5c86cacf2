"""What a network sees of a point: coordinates made such that boundary conditions of the box hold exactly."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float


class AbstractFeatures(eqx.Module):
    """A smooth map from a point (time, *space) to what the first layer reads."""

    count: eqx.AbstractVar[int]

    @abstractmethod
    def __call__(self, point: Float[Array, " axes"]) -> Float[Array, " features"]:
        """Return the features of one point."""


@final
class BoxFeatures(AbstractFeatures):
    """Each coordinate mapped from its range onto [-1, 1]."""

    low: Float[Array, " axes"]
    high: Float[Array, " axes"]
    count: int = eqx.field(static=True)

    def __init__(self, low: Sequence[float], high: Sequence[float]):
        """Take the corners of the box, time first."""
        self.low, self.high = jnp.asarray(low, float), jnp.asarray(high, float)
        self.count = len(low)

    def __call__(self, point: Float[Array, " axes"]) -> Float[Array, " features"]:
        """Return the scaled point."""
        return 2.0 * (point - self.low) / (self.high - self.low) - 1.0


@final
class WaveFeatures(AbstractFeatures):
    """Time mapped onto [-1, 1] and, for each axis of space, waves that fulfil the boundary condition of the box.

    Whatever the network does with them, the field is periodic, or its normal derivative vanishes at the walls.
    """

    duration: float
    edges: Float[Array, " space"]
    harmonics: int = eqx.field(static=True)
    periodic: bool = eqx.field(static=True)
    count: int = eqx.field(static=True)

    def __init__(self, duration: float, edges: Sequence[float], harmonics: int, periodic: bool):
        """Take the extent of time and space, both from 0 on.

        Args:
            duration: of the series.
            edges: of the box, one an axis of space.
            harmonics: waves of 1 to so many periods (half periods between walls) along each axis.
            periodic: sines and cosines of whole periods; otherwise cosines of half periods, whose slope at walls is 0.
        """
        self.duration, self.edges = float(duration), jnp.asarray(edges, float)
        self.harmonics, self.periodic = harmonics, periodic
        self.count = 1 + len(edges) * harmonics * (2 if periodic else 1)

    def __call__(self, point: Float[Array, " axes"]) -> Float[Array, " features"]:
        """Return scaled time and the waves of each axis."""
        time = 2.0 * point[:1] / self.duration - 1.0
        orders = jnp.arange(1.0, self.harmonics + 1.0)
        turns = (point[1:] / self.edges)[:, None] * orders[None, :]
        if not self.periodic:
            return jnp.concatenate([time, jnp.cos(jnp.pi * turns).ravel()])
        angles = 2.0 * jnp.pi * turns
        return jnp.concatenate([time, jnp.cos(angles).ravel(), jnp.sin(angles).ravel()])
