"""The nearest fractions on which one linear form vanishes: charge balance, or a ratio between groups of elements.

The projection of y onto {x >= 0, sum x = 1, q.x = 0} is x = max(y - a - b q, 0) for two multipliers. At a given b the
other one is that of the simplex, exact after a sort (Held, Wolfe and Crowder 1974, 10.1007/BF01580223), and q.x falls
with b; a bisection finds b to the last bit, which settles which components are positive, and on these a and b solve two
linear equations. The derivative is that of these equations alone, so it is exact away from changes of the support.
"""

import jax
import jax.numpy as jnp
import numpy as np

from mfal.errors import ConstraintError
from mfal.types import Array, Bool, Float

# The bracket halves until it is a double's last bit.
_HALVINGS = 80


def projected(normal: Float[Array, " d"], x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Return the nearest points of the simplex on which `normal` . x vanishes.

    Args:
        normal: with a component of either sign, or a zero one; `checked_normal` says so.
        x: any finite numbers; a row with others comes back as not a number.
    """
    return jax.vmap(lambda row: _projected_row(normal, row))(x)


def hyperplane_slack(normal: Float[Array, " d"], x: Float[Array, "n d"]) -> Float[Array, " n"]:
    """Return minus the distance to the hyperplane, in units of a fraction; rows are taken to be fractions already."""
    return -jnp.abs(x @ normal) / jnp.linalg.norm(normal)


def checked_normal(normal: Float[np.ndarray, " d"], what: str) -> Float[Array, " d"]:
    """Return the normal scaled to a largest component of one.

    Args:
        normal: coefficients of the linear form.
        what: the condition, for the message.

    Raises:
        ConstraintError: a coefficient is not finite, all are zero, or no fractions satisfy the condition.
    """
    if not np.isfinite(normal).all() or not normal.any():
        raise ConstraintError(f"{what} has coefficients {normal.tolist()}: give finite ones that are not all zero")
    if normal.min() > 0.0 or normal.max() < 0.0:
        raise ConstraintError(f"{what} has coefficients {normal.tolist()} of one sign: no fractions satisfy it")
    return jnp.asarray(normal / np.abs(normal).max())


def simplex_row(y: Float[Array, " d"]) -> Float[Array, " d"]:
    """Return the nearest fractions of one row."""
    descending = jnp.sort(y)[::-1]
    level = (jnp.cumsum(descending) - 1.0) / jnp.arange(1, y.shape[0] + 1)
    kept = jnp.sum(descending > level)
    return jnp.maximum(y - level[kept - 1], 0.0)


def _projected_row(normal: Float[Array, " d"], y: Float[Array, " d"]) -> Float[Array, " d"]:
    # A shift along (1, ..., 1) changes nothing but the size of the numbers.
    y = y + (1.0 - jnp.sum(y)) / y.shape[0]
    support = _support(normal, jax.lax.stop_gradient(y))
    # The second time removes the rounding of large numbers: both equalities then hold to a few 1e-16.
    x = _on_support(normal, _on_support(normal, y, support), support)
    # What is no number has no support, and must not come out as one.
    return jnp.where(support, jnp.maximum(x, 0.0), jnp.where(jnp.isfinite(jnp.sum(y)), 0.0, jnp.nan))


def _support(normal: Float[Array, " d"], y: Float[Array, " d"]) -> Bool[Array, " d"]:
    """Return which components of the projection are positive."""

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bracket
        middle = 0.5 * (low + high)
        above = normal @ simplex_row(y - middle * normal) > 0.0
        return jnp.where(above, middle, low), jnp.where(above, high, middle)

    # Optimality against the vertex i with q_i < 0 gives b (q.x - q_i) <= max y - min y + 1/2, hence q.x <= 0 from this
    # b on; where the least q is zero, the same b empties every other component.
    size = jnp.where(normal != 0.0, jnp.abs(normal), jnp.inf)
    end = (1.0 + jnp.max(y) - jnp.min(y)) / jnp.min(size)
    low, high = jax.lax.fori_loop(0, _HALVINGS, halve, (-end, end))
    return simplex_row(y - 0.5 * (low + high) * normal) > 0.0


def _on_support(normal: Float[Array, " d"], y: Float[Array, " d"], support: Bool[Array, " d"]) -> Float[Array, " d"]:
    """Return the solution of both equalities among the components of the support."""
    number = jnp.sum(support)
    mean = jnp.sum(jnp.where(support, normal, 0.0)) / number
    centred = jnp.where(support, normal - mean, 0.0)
    spread = centred @ centred
    # Without spread all of the support has q = 0, and the hyperplane asks for nothing more.
    flat = spread < 1e-24
    slope = jnp.where(flat, 0.0, (centred @ y + mean) / jnp.where(flat, 1.0, spread))
    level = (jnp.sum(jnp.where(support, y, 0.0)) - 1.0) / number
    return y - level - slope * centred
