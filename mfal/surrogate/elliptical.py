"""Draws from a posterior whose prior is normal, by elliptical slice sampling: no step size, no gradient.

Murray, Adams and MacKay 2010, arXiv:1001.0175: the prior is rotated through the current point, and the likelihood
decides how far; every step moves, however narrow the posterior.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from mfal.types import Array, Float, PRNGKeyArray


def elliptical_draw(
    log_likelihood: Callable[[Float[Array, " p"]], Float[Array, ""]],
    centre: Float[Array, " p"],
    sd: Float[Array, " p"],
    start: Float[Array, " p"],
    sweeps: int,
    key: PRNGKeyArray,
) -> Float[Array, " p"]:
    """Return where a chain is after so many sweeps.

    Args:
        log_likelihood: without the prior; a point where it is not finite is never taken.
        centre: of the prior.
        sd: of the prior, independent normals.
        start: of the chain.
        sweeps: after which it has forgotten the start.
        key: the same key, the same draw.
    """
    finite = lambda point: jnp.nan_to_num(log_likelihood(point), nan=-jnp.inf, posinf=-jnp.inf)  # noqa: E731

    def sweep(index: Array, at: tuple[Array, Array]) -> tuple[Array, Array]:
        return _sweep(finite, centre, sd, at, jax.random.fold_in(key, index))

    return jax.lax.fori_loop(0, sweeps, sweep, (start, finite(start)))[0]


# Halvings after which the bracket is narrower than rounding: the chain then stays where it is.
_SHRINKS = 50


def _sweep(
    log_likelihood: Callable[[Array], Array], centre: Array, sd: Array, at: tuple[Array, Array], key: PRNGKeyArray
) -> tuple[Array, Array]:
    point, current = at
    of_ellipse, of_height, of_angle = jax.random.split(key, 3)
    other = sd * jax.random.normal(of_ellipse, point.shape)
    height = current + jnp.log(jax.random.uniform(of_height, minval=jnp.finfo(point.dtype).tiny))
    on_ellipse = lambda angle: centre + (point - centre) * jnp.cos(angle) + other * jnp.sin(angle)  # noqa: E731

    def below(shrunk: tuple[Array, ...]) -> Array:
        return (shrunk[3] <= height) & (shrunk[4] < _SHRINKS)

    def shrink(shrunk: tuple[Array, ...]) -> tuple[Array, ...]:
        angle, low, high, _, count = shrunk
        low, high = jnp.where(angle < 0.0, angle, low), jnp.where(angle < 0.0, high, angle)
        angle = jax.random.uniform(jax.random.fold_in(of_angle, count + 1), minval=low, maxval=high)
        return angle, low, high, log_likelihood(on_ellipse(angle)), count + 1

    first = jax.random.uniform(jax.random.fold_in(of_angle, 0), maxval=2.0 * jnp.pi)
    begin = (first, first - 2.0 * jnp.pi, first, log_likelihood(on_ellipse(first)), jnp.zeros((), jnp.int32))
    angle, _, _, reached, _ = jax.lax.while_loop(below, shrink, begin)
    moved = reached > height
    return jnp.where(moved, on_ellipse(angle), point), jnp.where(moved, reached, current)
