"""The latent nearest to a given one whose composition is feasible.

min |z - z0| subject to g(decode z) >= margin, by successive linearisation: z0 is projected onto the half-space where
the linearised condition holds, which for one condition is explicit (sequential quadratic programming with the identity
as Hessian, Nocedal and Wright 2006, section 18.1). Steps are bounded, because g is far from linear.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.types import Array, Float

Decode = Callable[[Float[Array, "n k"]], Float[Array, "n d"]]
Slack = Callable[[Float[Array, "n d"]], Float[Array, " n"]]
# The longest step; latents are a standard normal.
_LONGEST = 0.25


@eqx.filter_jit
def projected_latents(
    decode: Decode, slack: Slack, start: Float[Array, "n k"], margin: float = 0.0, steps: int = 200
) -> Float[Array, "n k"]:
    """Return for each latent the nearest one found whose composition has at least a given slack.

    Where none is found the latent with the largest slack on the way is returned: check what comes back.

    Args:
        decode: fractions at latents.
        slack: of a condition at fractions, such as `AbstractConstraint.slack`, differentiable.
        start: latents to be moved; one that is feasible stays.
        margin: least slack.
        steps: linearisations.
    """
    excess = lambda z: slack(decode(z)) - margin  # noqa: E731

    def step(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
        z, best, reached = carry
        value, back = jax.vjp(excess, z)
        (normal,) = back(jnp.ones_like(value))
        best, reached = _better(z, value, best, reached, start)
        # What the linearised condition lacks at the start, over the squared length of its normal.
        lack = jnp.maximum(-value - jnp.sum(normal * (start - z), axis=1), 0.0)
        goal = start + normal * (lack / jnp.maximum(jnp.sum(normal**2, axis=1), 1e-12))[:, None]
        move = goal - z
        length = jnp.sqrt(jnp.maximum(jnp.sum(move**2, axis=1, keepdims=True), 1e-24))
        return (z + move * jnp.minimum(1.0, _LONGEST / length), best, reached), None

    (_, best, _), _ = jax.lax.scan(step, (start, start, excess(start)), None, steps)
    return best


def _better(
    z: Float[Array, "n k"], value: Float[Array, " n"], best: Float[Array, "n k"], reached: Float[Array, " n"],
    start: Float[Array, "n k"],
) -> tuple[Float[Array, "n k"], Float[Array, " n"]]:  # fmt: skip
    """Return the better of two latents: the nearer of feasible ones, else the one with the larger slack."""
    near = lambda z: jnp.sum((z - start) ** 2, axis=1)  # noqa: E731
    both = (value >= 0.0) & (reached >= 0.0)
    taken = jnp.where(both, near(z) < near(best), value > reached)
    return jnp.where(taken[:, None], z, best), jnp.where(taken, value, reached)
