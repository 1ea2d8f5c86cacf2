"""Objectives as sums of squared rows, whose normal equations are gathered in chunks of samples."""

from collections.abc import Callable, Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Rows of a chunk: large enough for matrix products, small enough for a Jacobian of 5000 columns to stay in cache or so.
CHUNK = 1024
# On an accelerator each chunk reads and writes the whole normal matrix from its memory: few chunks, of half a GB each.
CHUNK_ON_ACCELERATOR = 4096
# Columns of the smallest blocks of the normal matrix.
BLOCK = 256


@final
class Term(eqx.Module):
    """One half of the sum over samples of (weight (row + shift))^2.

    Attributes:
        row: residual of one sample, a scalar function of the unknowns and the sample.
        samples: one a row: a point, a point with a datum, a patch.
        weights: one over the standard deviation, or the root of a penalty; 0 leaves a row out.
        shifts: multipliers over penalty; zeros for data.
    """

    row: Callable[[Float[Array, " unknowns"], Float[Array, " sample"]], Float[Array, ""]]
    samples: Float[Array, "n sample"]
    weights: Float[Array, " n"]
    shifts: Float[Array, " n"]

    def rows(self, unknowns: Float[Array, " unknowns"]) -> Float[Array, " n"]:
        """Return the residuals of all samples, unweighted."""
        return jax.vmap(self.row, (None, 0))(unknowns, self.samples)

    def value(self, unknowns: Float[Array, " unknowns"]) -> Float[Array, ""]:
        """Return half the weighted sum of squares."""
        return 0.5 * jnp.sum(jnp.square(self.weights * (self.rows(unknowns) + self.shifts)))


def term(row: Callable, samples: Float[Array, "n sample"], weight: float | Array) -> Term:
    """Return a term of equal weights without multipliers."""
    count = samples.shape[0]
    return Term(row, samples, jnp.full(count, weight, dtype=float), jnp.zeros(count))


@final
class NormalEquations(eqx.Module):
    """Value, gradient and Gauss-Newton matrix of an objective at one point."""

    value: Float[Array, ""]
    gradient: Float[Array, " unknowns"]
    matrix: Float[Array, "unknowns unknowns"]


def objective(terms: Sequence[Term], unknowns: Float[Array, " unknowns"]) -> Float[Array, ""]:
    """Return the sum of the terms."""
    return sum((term.value(unknowns) for term in terms), start=jnp.zeros(()))


def normal_equations(terms: Sequence[Term], unknowns: Float[Array, " unknowns"]) -> NormalEquations:
    """Return the normal equations, never holding the Jacobian of more than a chunk."""
    size = unknowns.size
    sums = NormalEquations(jnp.zeros(()), jnp.zeros(size), jnp.zeros((size, size)))
    for one in terms:
        sums = _added(sums, one, unknowns)
    lower = jnp.tril(sums.matrix)
    return eqx.tree_at(lambda tree: tree.matrix, sums, lower + jnp.tril(lower, -1).T)


def _added(sums: NormalEquations, one: Term, unknowns: Float[Array, " unknowns"]) -> NormalEquations:
    rows = jax.vmap(jax.value_and_grad(one.row), (None, 0))

    def add(sums: NormalEquations, part: tuple) -> tuple[NormalEquations, None]:
        samples, weights, shifts = part
        values, slopes = rows(unknowns, samples)
        residuals, jacobian = weights * (values + shifts), weights[:, None] * slopes
        new = NormalEquations(0.5 * residuals @ residuals, jacobian.T @ residuals, _lower_product(jacobian))
        return jax.tree.map(jnp.add, sums, new), None

    return jax.lax.scan(add, sums, jax.tree.map(_chunked, (one.samples, one.weights, one.shifts)))[0]


def _lower_product(jacobian: Float[Array, "rows unknowns"]) -> Float[Array, "unknowns unknowns"]:
    """Return J'J with zeros in blocks above the diagonal: symmetry saves two fifths of what takes most of the time."""
    half = jacobian.shape[1] // 2
    if half < BLOCK:
        return jacobian.T @ jacobian
    left, right = jacobian[:, :half], jacobian[:, half:]
    across = right.T @ left
    return jnp.block([[_lower_product(left), jnp.zeros_like(across.T)], [across, _lower_product(right)]])


def _chunked(rows: Float[Array, "n ..."]) -> Float[Array, "chunks chunk ..."]:
    """Return the rows in equal chunks; copies of the first row fill the last one, where their weight is zero."""
    count = rows.shape[0]
    chunks = -(-count // (CHUNK if jax.default_backend() == "cpu" else CHUNK_ON_ACCELERATOR))
    size = -(-count // chunks)
    missing = chunks * size - count
    fill = jnp.zeros(missing) if rows.ndim == 1 else jnp.broadcast_to(rows[:1], (missing, *rows.shape[1:]))
    return jnp.concatenate([rows, fill]).reshape(chunks, size, *rows.shape[1:])
