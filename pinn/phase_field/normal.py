"""Gauss-Newton normal equations of the log-posterior, without forming the Jacobian of the initial field.

A point is a pair (scalars, initial field). One linearisation of the solver serves every product with it; conjugate
gradients then need one tangent and one adjoint run an iteration.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from pinn.phase_field.modes import mode_weights
from pinn.phase_field.problem import Problem, Unknowns


class Point(NamedTuple):
    """Free scalars and the initial field, or a direction in their space, or a gradient."""

    scalars: Float[Array, "*p"]
    initial: Float[Array, "*grid"]


class Dense(NamedTuple):
    """The quadratic model of minus log-posterior where only scalars are free; attributes as of `Normal`."""

    squares: Float[Array, ""]
    gradient: Float[Array, " p"]
    block: Float[Array, "p p"]


class Normal(NamedTuple):
    """The quadratic model of minus log-posterior about one point.

    Attributes:
        squares: sum of the squares of known residuals, in intensities.
        gradient: of minus log-posterior.
        product: of the Gauss-Newton matrix with a direction.
        block: the matrix's block of the scalars, shape (p, p).
        coupling: its rows that connect each scalar with the initial field.
        diagonal: rough one of the block of the initial field.
        modes: rough eigenvalues of that block in the modes of the grid, as if frames showed all of it.
    """

    squares: Float[Array, ""]
    gradient: Point
    product: Callable[[Point], Point]
    block: Float[Array, "p p"]
    coupling: Float[Array, "p *grid"]
    diagonal: Float[Array, "*grid"]
    modes: Float[Array, "*modes"]


def point_of(problem: Problem, unknowns: Unknowns) -> Point:
    """Return where unknowns lie."""
    return Point(problem.vector(unknowns), unknowns.initial)


def unknowns_at(problem: Problem, unknowns: Unknowns, point: Point) -> Unknowns:
    """Return unknowns moved to a point; what is not free stays."""
    moved = problem.with_vector(unknowns, point.scalars)
    return Unknowns(**{**vars(moved), "initial": point.initial}) if problem.initial_free else moved


def dense(problem: Problem, unknowns: Unknowns) -> Dense:
    """Return the quadratic model about unknowns in the scalars alone, by one tangent run each."""

    def with_value(scalars: Float[Array, " p"]) -> tuple[Array, Array]:
        residual = _residual(problem, problem.with_vector(unknowns, scalars)).ravel()
        return residual, residual

    at, precision = problem.vector(unknowns), problem.vector(problem.precision)
    columns, residual = jax.jacfwd(with_value, has_aux=True)(at)
    squares = jnp.sum(residual**2) * jnp.exp(2 * unknowns.log_noise)
    gradient = residual @ columns + precision * (at - problem.vector(problem.centre))
    return Dense(squares, gradient, columns.T @ columns + jnp.diag(precision))


def normal(problem: Problem, unknowns: Unknowns) -> Normal:
    """Return the quadratic model about unknowns; call it inside a compiled function."""
    at = point_of(problem, unknowns)
    residual, tangent = jax.linearize(lambda point: _residual(problem, unknowns_at(problem, unknowns, point)), at)
    adjoint = jax.linear_transpose(tangent, at)
    precision = point_of(problem, problem.precision)
    off = _minus(at, point_of(problem, problem.centre))

    def product(direction: Point) -> Point:
        (pulled,) = adjoint(tangent(direction))
        return jax.tree.map(lambda data, weight, part: data + weight * part, pulled, precision, direction)

    zeros = jnp.zeros_like(at.initial)
    columns = jax.vmap(lambda row: tangent(Point(row, zeros)))(jnp.eye(at.scalars.size))
    # One adjoint for the gradient and all columns: compiled once.
    pulled = jax.lax.map(lambda right: adjoint(right)[0], jnp.concatenate([residual[None], columns]))
    steepest = jax.tree.map(lambda rows: rows[0], pulled)
    gradient = jax.tree.map(lambda data, weight, part: data + weight * part, steepest, precision, off)
    return Normal(
        jnp.sum(residual**2) * jnp.exp(2 * unknowns.log_noise),
        gradient,
        product,
        pulled.scalars[1:] + jnp.diag(precision.scalars),
        pulled.initial[1:],
        precision.initial + _pixel_weight(problem, unknowns),
        jnp.mean(precision.initial) + mode_weights(problem, unknowns),
    )


def rough_inverse(
    problem: Problem, model: Normal, damping: Float[Array, ""]
) -> Callable[[Float[Array, "*grid"]], Float[Array, "*grid"]]:
    """Return a rough inverse of the damped block of the initial field: by modes where frames look, by pixels elsewhere.

    Behind a point-spread function the fine modes weigh a thousandth of the coarse ones: pixels alone would make
    conjugate gradients slow.
    """
    shown = jnp.pad(problem.known.max(axis=0), problem.margins)
    modes, hidden = model.modes + damping * model.diagonal.max(), (1.0 - shown) / ((1.0 + damping) * model.diagonal)

    def solve(field: Float[Array, "*grid"]) -> Float[Array, "*grid"]:
        return shown * problem.grid.inverse(problem.grid.transform(shown * field) / modes) + hidden * field

    return solve


def conjugate_gradients(
    product: Callable[[Point], Point], right: Point, precondition: Callable[[Point], Point], tolerance: float, most: int
) -> tuple[Point, Float[Array, ""]]:
    """Return the solution of product(x) = right, to a relative residual, and the iterations it took.

    What the first frame shows of the initial field is already half the matrix, so that preconditioning keeps them few.
    """
    start = precondition(right)
    goal = tolerance**2 * _dot(right, start)

    def unfinished(state):
        _, _, _, size, count = state
        return (size > goal) & (count < most)

    def step(state):
        solution, rest, direction, size, count = state
        image = product(direction)
        length = size / _dot(direction, image)
        solution = _add(solution, length, direction)
        rest = _add(rest, -length, image)
        turned = precondition(rest)
        new_size = _dot(rest, turned)
        return solution, rest, _add(turned, new_size / size, direction), new_size, count + 1

    zero = jax.tree.map(jnp.zeros_like, right)
    state = (zero, right, start, _dot(right, start), jnp.zeros(()))
    solution, _, _, _, count = jax.lax.while_loop(unfinished, step, state)
    return solution, count


def _residual(problem: Problem, unknowns: Unknowns) -> Float[Array, "times *pixels"]:
    """Return known residuals in standard deviations of the noise."""
    return problem.misfit(problem.predicted(unknowns)) * jnp.exp(-unknowns.log_noise)


def _pixel_weight(problem: Problem, unknowns: Unknowns) -> Float[Array, "*grid"]:
    weight = problem.known.max(axis=0) * (unknowns.gain * jnp.exp(-unknowns.log_noise)) ** 2
    return jnp.pad(weight, problem.margins)


def _minus(a: Point, b: Point) -> Point:
    return jax.tree.map(jnp.subtract, a, b)


def _add(a: Point, length: Float[Array, ""], b: Point) -> Point:
    return jax.tree.map(lambda first, second: first + length * second, a, b)


def _dot(a: Point, b: Point) -> Float[Array, ""]:
    return jnp.sum(a.scalars * b.scalars) + jnp.sum(a.initial * b.initial)
