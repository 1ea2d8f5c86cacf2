"""How much each term counts: data by their noise, the equation by a growing penalty with multipliers, time in order."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinn.training.least_squares import Term

# A datum that is met better than this share of the data's spread does not count more for it.
LEAST_NOISE = 1e-5


def noise_sd(data: Term, unknowns: Float[Array, " unknowns"], scale: float) -> Float[Array, ""]:
    """Return the root mean square of what data leave over, in their unit, and no less than a share of their scale."""
    used = data.weights > 0.0
    squares = jnp.where(used, jnp.square(data.rows(unknowns)), 0.0)
    return jnp.maximum(jnp.sqrt(jnp.sum(squares) / jnp.sum(used)), LEAST_NOISE * scale)


def weighted(data: Term, noise: Float[Array, ""] | float) -> Term:
    """Return data that count by one over the standard deviation of their noise; missing ones stay out."""
    return Term(data.row, data.samples, jnp.where(data.weights > 0.0, 1.0 / noise, 0.0), data.shifts)


def penalised(constraint: Term, penalty: Float[Array, ""] | float) -> Term:
    """Return a constraint under another penalty with the same multipliers (penalty squared times shift)."""
    factor = penalty / jnp.max(constraint.weights)
    return Term(constraint.row, constraint.samples, constraint.weights * factor, constraint.shifts / jnp.square(factor))


def multiplied(constraint: Term, unknowns: Float[Array, " unknowns"]) -> Term:
    """Return a constraint after the update of its multipliers (Hestenes 1969, Powell 1969).

    Multipliers of more constraints than unknowns grow without bound when updated many times: grow the penalty instead.
    """
    shifts = constraint.shifts + constraint.rows(unknowns)
    return Term(constraint.row, constraint.samples, constraint.weights, shifts)


def causal(
    constraint: Term, unknowns: Float[Array, " unknowns"], chunks: int, strictness: Float[Array, ""] | float
) -> Term:
    """Return a constraint whose later times count once the earlier ones are met (Wang, Sankaran, Perdikaris 2022).

    Args:
        constraint: samples begin with the time.
        unknowns: where the residuals are taken.
        chunks: of time, of equal length.
        strictness: a chunk counts by e^(-strictness times the sum of the mean squares of all chunks before it).
    """
    times = constraint.samples[:, 0]
    share = (times - jnp.min(times)) / (jnp.max(times) - jnp.min(times))
    chunk = jnp.minimum((share * chunks).astype(int), chunks - 1)
    member = chunk[None, :] == jnp.arange(chunks)[:, None]
    squares = jnp.square(constraint.rows(unknowns))
    means = jnp.sum(member * squares[None, :], axis=1) / jnp.maximum(jnp.sum(member, axis=1), 1)
    before = jnp.cumsum(means) - means
    # Weights are roots of what the squares count by.
    factor = jnp.exp(-0.5 * strictness * before)[chunk]
    return Term(constraint.row, constraint.samples, constraint.weights * factor, constraint.shifts)
