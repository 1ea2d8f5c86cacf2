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
# The longest step, latents being a standard normal, and Newton's steps back to the border at the end.
_LONGEST, _RESTORATIONS = 0.5, 10


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

    def step(carry: tuple[Array, Array, Array], longest: Array) -> tuple[tuple[Array, Array, Array], None]:
        z, best, reached = carry
        value, normal = _linearised(excess, z)
        best, reached = _better(z, value, best, reached, start)
        # A start that is infeasible has its nearest feasible latent where the condition just holds.
        lack = -value - jnp.sum(normal * (start - z), axis=1)
        move = start + normal * (lack / _squared(normal))[:, None] - z
        length = jnp.sqrt(_squared(move))[:, None]
        return (z + move * jnp.minimum(1.0, longest / length), best, reached), None

    def restore(carry: tuple[Array, Array, Array], _: None) -> tuple[tuple[Array, Array, Array], None]:
        best, reached = carry[1:]
        value, normal = _linearised(excess, best)
        z = best + normal * (jnp.maximum(-value, 0.0) / _squared(normal))[:, None]
        best, reached = _better(z, excess(z), best, reached, start)
        return (z, best, reached), None

    # Steps that become shorter cannot go round in circles.
    limits = _LONGEST * jnp.linspace(1.0, 0.0, steps, endpoint=False)
    carry, _ = jax.lax.scan(step, (start, start, excess(start)), limits)
    best = jax.lax.scan(restore, carry, None, _RESTORATIONS)[0][1]
    return jnp.where((excess(start) >= 0.0)[:, None], start, best)


def _linearised(excess: Callable, z: Float[Array, "n k"]) -> tuple[Float[Array, " n"], Float[Array, "n k"]]:
    """Return the excess and its gradient, row by row."""
    value, back = jax.vjp(excess, z)
    return value, back(jnp.ones_like(value))[0]


def _squared(rows: Float[Array, "n k"]) -> Float[Array, " n"]:
    """Return squared lengths, none of which is zero."""
    return jnp.maximum(jnp.sum(rows**2, axis=1), 1e-24)


def _better(
    z: Float[Array, "n k"], value: Float[Array, " n"], best: Float[Array, "n k"], reached: Float[Array, " n"],
    start: Float[Array, "n k"],
) -> tuple[Float[Array, "n k"], Float[Array, " n"]]:  # fmt: skip
    """Return the better of two latents: the nearer of feasible ones, else the one with the larger slack."""
    near = lambda z: jnp.sum((z - start) ** 2, axis=1)  # noqa: E731
    both = (value >= 0.0) & (reached >= 0.0)
    taken = jnp.where(both, near(z) < near(best), value > reached)
    return jnp.where(taken[:, None], z, best), jnp.where(taken, value, reached)
