"""Uniform designs: Markov chains that never leave the set, thousands at once.

Every design ends a chain of its own, so designs are independent and only the burn-in has to be long enough; the tests
hold it against exact marginals. All chains of a block take the same pairs or directions, which do not depend on where
the chains are: each is a valid chain, and a step costs one random number a chain.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mfal.constraints.project import Polyhedron, closed, on_planes
from mfal.types import Array, Float, PRNGKeyArray

# Chains side by side: their state stays in the processor's cache.
BLOCK = 2048
# Each pass of exchanges shrinks what is left of the start to less than a fifth (15 components; fewer: faster).
PASSES = 8


def blocks(draw: Callable[[int, PRNGKeyArray], Array], count: int, key: PRNGKeyArray) -> Float[Array, "{count} d"]:
    """Return designs drawn a block at a time."""
    size = min(count, BLOCK)
    parts = jax.lax.map(lambda key: draw(size, key), jax.random.split(key, -(-count // size)))
    return parts.reshape(-1, parts.shape[-1])[:count]


def exchange(
    lower: Float[Array, "d n"], upper: Float[Array, "d n"], total: Float[Array, ""], key: PRNGKeyArray
) -> Float[Array, "n d"]:
    """Return uniform points with lower <= x <= upper and sum x = total, one for each column of bounds.

    Two components exchange what they hold: given their sum, the first is uniform on an interval (Gibbs sampling).
    A pass pairs all components at random, twice; then the widest exchanges with each of the others, because narrow
    components among themselves hardly move what they hold together.
    """
    order = jnp.argsort(-jnp.mean(upper - lower, axis=1))
    lower, upper = lower[order], upper[order]
    step = lambda i, x: _pass(x, lower, upper, jax.random.fold_in(key, i))  # noqa: E731
    x = _diagonal(lower, upper, total)
    x = jax.lax.fori_loop(0, PASSES, step, x) if x.shape[0] > 1 else x
    return jax.vmap(closed, (1, 1, 1, None))(x, lower, upper, total)[:, jnp.argsort(order)]


def hit_and_run(
    body: Polyhedron,
    rows: Float[Array, "m d"],
    values: Float[Array, " m"],
    spread: Float[Array, "d k"],
    count: int,
    key: PRNGKeyArray,
) -> Float[Array, "{count} d"]:
    """Return uniform points of a polyhedron whose inequalities beyond bounds are rows x >= values.

    Source: Smith 1984 (Oper. Res. 32, 1296), with directions in which the body is about round.
    """
    dimension = spread.shape[1]

    def step(i: Array, x: Float[Array, "d n"]) -> Float[Array, "d n"]:
        turn, draw = jax.random.split(jax.random.fold_in(key, i))
        along = spread @ jax.random.normal(turn, (dimension,))
        room = jnp.concatenate([rows @ x - values[:, None], x - lower, upper - x])
        near, far = _chord(room, jnp.concatenate([rows @ along, along, -along]))
        x = x + along[:, None] * (near + (far - near) * _uniform(draw, (count,)))
        return jnp.clip(x, lower, upper)

    lower, upper = body.lower[:, None], body.upper[:, None]
    x = jnp.broadcast_to(body.centre[:, None], (body.centre.shape[0], count))
    x = jax.lax.fori_loop(0, chain_length(dimension), step, x) if dimension else x
    return jax.vmap(on_planes, (1, None))(x, body)


def chain_length(dimension: int) -> int:
    """Return the steps of a hit-and-run chain: what is left of the start shrinks e-fold in about 5 a dimension."""
    return 20 * dimension + 2 * dimension**2


def _diagonal(lower: Float[Array, "d n"], upper: Float[Array, "d n"], total: Float[Array, ""]) -> Float[Array, "d n"]:
    """Return the point on the diagonal of each box that has the total."""
    least, width = jnp.sum(lower, axis=0), jnp.sum(upper - lower, axis=0)
    share = jnp.clip((total - least) / jnp.where(width > 0.0, width, 1.0), 0.0, 1.0)
    return lower + share * (upper - lower)


def _pass(
    x: Float[Array, "d n"], lower: Float[Array, "d n"], upper: Float[Array, "d n"], key: PRNGKeyArray
) -> Float[Array, "d n"]:
    first, second, last = jax.random.split(key, 3)
    x = _paired(_paired(x, lower, upper, first), lower, upper, second)

    def with_widest(widest: Array, other: tuple[Array, Array, Array, Array]) -> tuple[Array, Array]:
        held, low, high, share = other
        return _exchanged(widest, held, (lower[0], upper[0]), (low, high), share)

    others = x[1:], lower[1:], upper[1:], _uniform(last, (x.shape[0] - 1, x.shape[1]))
    widest, rest = jax.lax.scan(with_widest, x[0], others)
    return jnp.concatenate([widest[None], rest])


def _paired(
    x: Float[Array, "d n"], lower: Float[Array, "d n"], upper: Float[Array, "d n"], key: PRNGKeyArray
) -> Float[Array, "d n"]:
    """Return the points after each component has exchanged with one other; an odd one rests."""
    turn, draw = jax.random.split(key)
    half, order = x.shape[0] // 2, jax.random.permutation(turn, x.shape[0])
    first, second = order[:half], order[half : 2 * half]
    bounds = (lower[first], upper[first]), (lower[second], upper[second])
    pair = _exchanged(x[first], x[second], *bounds, _uniform(draw, (half, x.shape[1])))
    return jnp.concatenate([*pair, x[order[2 * half :]]])[jnp.argsort(order)]


def _exchanged(
    a: Array, b: Array, of_a: tuple[Array, Array], of_b: tuple[Array, Array], share: Array
) -> tuple[Array, Array]:
    """Return two holdings with the same sum, the first uniform on what the bounds (lower, upper) of both allow."""
    both = a + b
    low, high = jnp.maximum(of_a[0], both - of_b[1]), jnp.minimum(of_a[1], both - of_b[0])
    a = jnp.clip(low + (high - low) * share, *of_a)
    return a, jnp.clip(both - a, *of_b)


def _uniform(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    """Return multiples of 2^-32: half the price of 52 random bits, and a chain adds up many."""
    return jax.random.bits(key, shape, jnp.uint32) * 2.0**-32


def _chord(room: Float[Array, "f n"], speed: Float[Array, " f"]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Return how far back and ahead each point can go: it has some room to each face, and the rooms grow at a speed."""
    reach = -jnp.maximum(room, 0.0) / jnp.where(jnp.abs(speed) > _STILL, speed, 1.0)[:, None]
    ahead = jnp.where(speed[:, None] < -_STILL, reach, jnp.inf)
    behind = jnp.where(speed[:, None] > _STILL, reach, -jnp.inf)
    # A body without width has no face in any direction, and stays where it is.
    still = jnp.max(jnp.abs(speed), initial=0.0) <= _STILL
    return jnp.where(still, 0.0, jnp.max(behind, axis=0)), jnp.where(still, 0.0, jnp.min(ahead, axis=0))


_STILL = 1e-14
