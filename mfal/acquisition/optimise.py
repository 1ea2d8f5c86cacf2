"""Continuous designs: maximise a differentiable acquisition over the designs that constraints leave.

Filter first, rank second: every start and every trial is a design. The soft form a(x) - beta d(x, F) is `softened`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mfal.acquisition.ascent import Objective, ascend
from mfal.constraints.base import AbstractConstraint, AbstractDesigns, distance
from mfal.types import Array, Float, PRNGKeyArray


def maximise(
    acquisition: Objective, designs: AbstractDesigns, key: PRNGKeyArray, starts: int = 64, screened: int = 1024
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """Return the best design found and its value.

    Args:
        acquisition: differentiable value of one design, shape (d,) -> ().
        designs: where to look.
        key: of the random designs that the ascents start from.
        starts: ascents, run side by side: half from the best of the random designs, half from any of them, because the
            best may all lead to one maximum.
        screened: random designs.
    """
    climb = jax.vmap(lambda x: ascend(acquisition, lambda y: designs.within(y, x), x))
    random = _scattered(designs, screened, key)
    best = _top(jax.vmap(acquisition)(random), starts // 2)
    points, values = climb(jnp.concatenate([random[best], random[: starts - starts // 2]]))
    if jax.eval_shape(designs.beside, points[0]).shape[0]:
        onward = lambda _, found: _elsewhere(acquisition, designs, climb, *found)  # noqa: E731
        points, values = jax.lax.fori_loop(0, _ROUNDS, onward, (points, values))
    top = points[_top(values, 1)[0]]
    # A step between two designs can leave a bound by its last digit.
    top = designs.within(top, top)
    return top, acquisition(top)


def softened(acquisition: Objective, constraint: AbstractConstraint, beta: float) -> Objective:
    """Return a(x) - beta d(x, F): F is what the constraint admits, beta what one unit of distance costs."""
    return lambda x: acquisition(x) - beta * distance(constraint, x[None])[0]


# Rounds of moves to other parts of the designs, and how many of the best points move and of their moves ascend.
_ROUNDS, _MOVING = 3, 8
# Every other random design is drawn so much further out, where maxima on faces and corners are.
_OUTWARD = 4.0


def _scattered(designs: AbstractDesigns, count: int, key: PRNGKeyArray) -> Float[Array, "count d"]:
    """Return random designs, in turn spread evenly over the set and close to its faces and corners."""
    even = designs.sample(count, key)
    centre = jnp.mean(even, axis=0)
    outward = jax.vmap(designs.within)(centre + _OUTWARD * (even - centre), even)
    return jnp.where((jnp.arange(count) % 2 == 0)[:, None], even, outward)


def _elsewhere(
    acquisition: Objective, designs: AbstractDesigns, climb: Callable, points: Array, values: Array
) -> tuple[Array, Array]:
    """Return the points, the worst replaced by ascents in parts next to those of the best: exchanges of elements."""
    moving = min(_MOVING, points.shape[0])
    others = jax.vmap(designs.beside)(points[_top(values, moving)]).reshape(-1, points.shape[1])
    found, reached = climb(others[_top(jax.vmap(acquisition)(others), min(moving, len(others)))])
    every, all_values = jnp.concatenate([points, found]), jnp.concatenate([values, reached])
    kept = _top(all_values, points.shape[0])
    return every[kept], all_values[kept]


def _top(values: Float[Array, " n"], count: int) -> Array:
    """Return the indices of the greatest values; what has no value comes last."""
    return jax.lax.top_k(jnp.where(jnp.isnan(values), -jnp.inf, values), count)[1]
