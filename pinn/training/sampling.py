"""Where the equation is asked for: evenly in a box, and more often where something happens."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

# Share of points that stay evenly spread: without them a quiet region could drift unseen.
EVEN_SHARE = 0.5
CANDIDATES = 5


def evenly(
    count: int, low: Float[Array, " axes"], high: Float[Array, " axes"], key: PRNGKeyArray
) -> Float[Array, "count axes"]:
    """Return points of the additive recurrence of lowest discrepancy, shifted at random (Roberts 2018)."""
    axes = low.size
    ratio = 2.0
    for _ in range(60):
        ratio = (1.0 + ratio) ** (1.0 / (axes + 1.0))
    steps = ratio ** -jnp.arange(1.0, axes + 1.0)
    turns = jax.random.uniform(key, (axes,), dtype=float)[None, :] + jnp.arange(count)[:, None] * steps[None, :]
    return low + (high - low) * (turns % 1.0)


@eqx.filter_jit
def where_it_matters(
    importance: Callable[[Float[Array, " axes"]], Float[Array, ""]],
    count: int,
    low: Float[Array, " axes"],
    high: Float[Array, " axes"],
    key: PRNGKeyArray,
) -> Float[Array, "count axes"]:
    """Return points drawn without replacement, part of them in proportion to an importance (Wu et al. 2023).

    Args:
        importance: of a point, at least 0: the residual's size, or the slope of an interface.
        count: of points.
        low: corner of the box.
        high: opposite corner.
        key: of candidates and draws.
    """
    place, draw = jax.random.split(key)
    candidates = evenly(CANDIDATES * count, low, high, place)
    found = jax.lax.map(importance, candidates, batch_size=4096)
    chance = EVEN_SHARE + (1.0 - EVEN_SHARE) * found / jnp.mean(found)
    # The largest perturbed logarithms are a draw without replacement (Efraimidis, Spirakis 2006).
    order = jnp.log(chance) + jax.random.gumbel(draw, (CANDIDATES * count,), dtype=float)
    return candidates[jax.lax.top_k(order, count)[1]]
