"""Derivatives of a field at a point, forward along each axis, from which equations are written."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# A scalar or several values, of one point.
Function = Callable[[Float[Array, " axes"]], Float[Array, "*values"]]


def first(function: Function, point: Float[Array, " axes"], axis: int) -> Float[Array, "*values"]:
    """Return the derivative along one axis."""
    return _along(function, point, axis)(0.0)


def second(function: Function, point: Float[Array, " axes"], axis: int) -> Float[Array, "*values"]:
    """Return the second derivative along one axis; twice forward, which costs less than back and forth."""
    return jax.jacfwd(_along(function, point, axis))(0.0)


def laplacian(function: Function, point: Float[Array, " axes"]) -> Float[Array, "*values"]:
    """Return the sum of second derivatives along the axes of space, which are all but the first."""
    return sum((second(function, point, axis) for axis in range(1, point.size)), start=jnp.zeros(()))


def _along(function: Function, point: Float[Array, " axes"], axis: int) -> Callable:
    direction = jnp.zeros_like(point).at[axis].set(1.0)
    return jax.jacfwd(lambda step: function(point + step * direction))
