"""Expected maximum of straight lines in a standard normal variable, by their upper envelope.

    E[max_j (a_j + b_j Z)] - max_j a_j = sum_k (b_k+1 - b_k) f(-|c_k|),    f(z) = phi(z) + z Phi(z)

over the lines of the envelope in order of slope, which meet at the points c_k (Frazier, Powell and Dayanik 2009,
algorithms 1 and 2, 10.1287/ijoc.1080.0314). The stack of the algorithm is kept in arrays of fixed size, and each step
of a loop of fixed length either drops the top line or adds one, so that any number of envelopes run side by side.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from mfal.types import Array, Float, Int


def expected_rise(level: Float[Array, " m"], slope: Float[Array, " m"]) -> Float[Array, ""]:
    """Return E[max_j (level_j + slope_j Z)] - max_j level_j, never negative; cost m log m."""
    order = jnp.lexsort((level, slope))
    level, slope = level[order], slope[order]
    size = level.shape[0]
    empty = _Stack(
        jnp.zeros(size, jnp.int32), jnp.full(size, -jnp.inf), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
    )
    # Each line is added once and dropped at most once.
    stack = jax.lax.fori_loop(0, 2 * size, lambda _, state: _step(level, slope, state), empty)
    risen = jnp.diff(slope[stack.line])
    meeting = -jnp.abs(stack.start[1:])
    rise = risen * (norm.pdf(meeting) + meeting * norm.cdf(meeting))
    # At infinity the second term is infinity times zero.
    used = (jnp.arange(1, size) < stack.height) & jnp.isfinite(meeting)
    return jnp.sum(jnp.where(used, jnp.maximum(rise, 0.0), 0.0))


class _Stack(eqx.Module):
    """Lines of the envelope found so far.

    Attributes:
        line: their places in the order of slopes.
        start: where each begins to be the highest.
        height: lines on the stack.
        following: the line that comes next.
    """

    line: Int[Array, " m"]
    start: Float[Array, " m"]
    height: Int[Array, ""]
    following: Int[Array, ""]


def _step(level: Float[Array, " m"], slope: Float[Array, " m"], stack: _Stack) -> _Stack:
    size = level.shape[0]
    fresh, top = jnp.minimum(stack.following, size - 1), jnp.maximum(stack.height - 1, 0)
    steeper = slope[fresh] - slope[stack.line[top]]
    # Of parallel lines the last is the highest, because levels ascend among equal slopes.
    lead = level[stack.line[top]] - level[fresh]
    meeting = jnp.where(steeper > 0.0, lead / jnp.where(steeper > 0.0, steeper, 1.0), -jnp.inf)
    meeting = jnp.where(stack.height > 0, meeting, -jnp.inf)
    running = stack.following < size
    drop = running & (stack.height > 0) & (meeting <= stack.start[top])
    add = running & ~drop
    place = jnp.where(add, stack.height, size)
    return _Stack(
        line=stack.line.at[place].set(fresh.astype(jnp.int32), mode="drop"),
        start=stack.start.at[place].set(meeting, mode="drop"),
        height=stack.height + add.astype(jnp.int32) - drop.astype(jnp.int32),
        following=stack.following + add.astype(jnp.int32),
    )
