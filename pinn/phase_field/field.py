"""The whole field in space and time as unknown: every frame beside the rates, tied by the equation frame to frame.

The defect of a frame against the one before, stepped by the solver, is driven to zero by an augmented Lagrangian
(multiple shooting; weak-constraint 4D-Var). All gaps between frames are stepped side by side, and an error in the
initial field does not have to travel through the series before it is seen.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from physics.phase_field.evolve import Schedule, evolve, schedule
from pinn.phase_field.normal import Point, conjugate_gradients
from pinn.phase_field.problem import Maximum, Problem, Unknowns

# Standard deviation of the defect, relative to the noise, one a round; the last ones only move the multipliers.
TIGHTNESS = (1.0, 0.3, 0.1, 0.1, 0.1, 0.1)
MOST_STEPS = 25  # of a round, refused ones included
ENOUGH_NATS = 1e-3  # what a further step would gain
FIRST_DAMPING, LEAST_DAMPING = 1e-2, 1e-7  # relative to the diagonal, of scalars and fields
TOLERANCE, MOST_ITERATIONS = 1e-2, 200
SMALL_DEFECT = 0.1  # of the noise: what is left of it then moves no rate by a noticeable part of its deviation


@final
class Tied(eqx.Module):
    """Fields of all frames and what ties them.

    Attributes:
        unknowns: rates and camera; its initial field is that of the first frame.
        fields: order parameter, shape (times, *grid).
        multipliers: added to the defects, shape (gaps, *grid).
        damping: of the next step.
    """

    unknowns: Unknowns
    fields: Float[Array, "times *grid"]
    multipliers: Float[Array, "gaps *grid"]
    damping: Float[Array, ""]


def maximise(problem: Problem, key: PRNGKeyArray) -> Maximum:
    """Return the maximum of the log-posterior near the problem's start; `key` is not used, nothing here is random.

    It has converged where the frames follow from each other up to a tenth of the noise.
    """
    del key
    here, defect, trace = _begun(problem), jnp.zeros(()), []
    for tightness in TIGHTNESS:
        for _ in range(MOST_STEPS):
            here, value, gain = _step(problem, here, jnp.asarray(tightness))
            trace.append(float(value))
            if abs(gain) < ENOUGH_NATS:
                break
        here, defect = _tied(problem, here)
    unknowns = eqx.tree_at(lambda tree: tree.initial, here.unknowns, here.fields[0])
    return Maximum(unknowns, np.array(trace), bool(defect < SMALL_DEFECT * jnp.exp(unknowns.log_noise)))


def _begun(problem: Problem) -> Tied:
    """Return the start: each frame as the solver steps it from the start values, which ties it already."""
    fields = eqx.filter_jit(problem.fields)(problem.start)
    return Tied(problem.start, fields, jnp.zeros_like(fields[1:]), jnp.asarray(FIRST_DAMPING))


@eqx.filter_jit
def _step(problem: Problem, here: Tied, tightness: Float[Array, ""]) -> tuple[Tied, Float[Array, ""], Float[Array, ""]]:
    """Return the place after one trial step, minus log-posterior with defects there, and what the step gained."""
    noise = jnp.exp(here.unknowns.log_noise)
    at = Point(problem.vector(here.unknowns), here.fields)

    def rows(at: Point) -> tuple[Array, Array, Array, Array]:
        return _rows(problem, here, at, noise, tightness)

    residuals, tangent = jax.linearize(rows, at)
    move = _move(problem, here, tangent, residuals, _diagonal(problem, here, noise, tightness))
    moved = jax.tree.map(jnp.add, at, move)
    old, new = _half_square(residuals), _half_square(rows(moved))
    better = new < old
    unknowns = problem.with_vector(here.unknowns, jnp.where(better, moved.scalars, at.scalars))
    damping = jnp.where(
        better, jnp.maximum(here.damping / 10, LEAST_DAMPING), jnp.maximum(10 * here.damping, FIRST_DAMPING)
    )
    fields = jnp.where(better, moved.initial, at.initial)
    there = _with_noise(problem, replace(here, unknowns=unknowns, fields=fields, damping=damping), better)
    constant = jnp.sum(problem.known) * here.unknowns.log_noise
    # A refused step has gained nothing yet: the next one is shorter.
    return there, jnp.where(better, new, old) + constant, jnp.where(better, old - new, jnp.inf)


def _rows(
    problem: Problem, here: Tied, at: Point, noise: Float[Array, ""], tightness: Float[Array, ""]
) -> tuple[Array, Array, Array, Array]:
    """Return misfits, defects and the priors of first frame and scalars, each over its standard deviation."""
    unknowns, fields = problem.with_vector(here.unknowns, at.scalars), at.initial
    misfit = problem.misfit(problem.seen(fields, unknowns)) / noise
    defect = (_defect(problem, unknowns, fields) + here.multipliers) / (tightness * noise)
    prior = jnp.sqrt(problem.precision.initial) * (fields[0] - problem.centre.initial)
    held = jnp.sqrt(problem.vector(problem.precision)) * (at.scalars - problem.vector(problem.centre))
    return misfit, defect, prior, held


def _defect(problem: Problem, unknowns: Unknowns, fields: Float[Array, "times *grid"]) -> Float[Array, "gaps *grid"]:
    """Return each frame but the first, minus what the equation makes of the one before."""
    equation, times = problem.equation(unknowns), np.asarray(problem.times)
    gaps = np.diff(times)
    steps = schedule((0.0, float(gaps.max())), problem.longest_step).steps

    def stepped(field: Array, start: Array, gap: Array) -> Array:
        when = Schedule(start[None], gap[None], (0, 1), steps)
        return evolve(field, equation, problem.grid, when)[1]

    return fields[1:] - jax.vmap(stepped)(fields[:-1], jnp.asarray(times[:-1]), jnp.asarray(gaps))


def _move(
    problem: Problem, here: Tied, tangent: Callable, residuals: tuple, diagonal: Float[Array, "times *grid"]
) -> Point:
    """Return the damped Gauss-Newton step by conjugate gradients, to a loose tolerance."""
    at = Point(problem.vector(here.unknowns), here.fields)
    adjoint = jax.linear_transpose(tangent, at)
    still = jnp.zeros_like(here.fields)
    columns = jax.vmap(lambda one: _flat(tangent(Point(one, still))))(jnp.eye(at.scalars.size))
    block = columns @ columns.T
    held = here.damping * jnp.diag(block)
    inverse = jnp.linalg.inv(block + jnp.diag(held))

    def product(direction: Point) -> Point:
        (image,) = adjoint(tangent(direction))
        scalars = image.scalars + held * direction.scalars
        return _fixed(problem, Point(scalars, image.initial + here.damping * diagonal * direction.initial))

    def precondition(gradient: Point) -> Point:
        return _fixed(problem, Point(inverse @ gradient.scalars, gradient.initial / diagonal))

    downhill = _fixed(problem, jax.tree.map(jnp.negative, adjoint(residuals)[0]))
    return conjugate_gradients(product, downhill, precondition, TOLERANCE, MOST_ITERATIONS)[0]


def _diagonal(problem: Problem, here: Tied, noise: Array, tightness: Array) -> Float[Array, "times *grid"]:
    """Return a rough diagonal of the block of the fields: data, and the defects on both sides of a frame."""
    tie = (tightness * noise) ** -2
    sides = jnp.full_like(here.fields, 2.0).at[0].set(1.0).at[-1].set(1.0)
    data = problem.known * (here.unknowns.gain / noise) ** 2
    return tie * sides + jnp.pad(data, [(0, 0), *problem.margins])


def _fixed(problem: Problem, direction: Point) -> Point:
    """Return a direction that leaves the first frame alone where it is known."""
    if problem.initial_free:
        return direction
    return Point(direction.scalars, direction.initial.at[0].set(0.0))


def _with_noise(problem: Problem, here: Tied, better: Bool[Array, ""]) -> Tied:
    """Return the place with the noise that an accepted step leaves over, where noise is to be estimated."""
    if not problem.noise_free:
        return here
    squares = jnp.sum(problem.misfit(problem.seen(here.fields, here.unknowns)) ** 2)
    noise = jnp.where(better, problem.log_noise_from(squares), here.unknowns.log_noise)
    return replace(here, unknowns=eqx.tree_at(lambda tree: tree.log_noise, here.unknowns, noise))


@eqx.filter_jit
def _tied(problem: Problem, here: Tied) -> tuple[Tied, Float[Array, ""]]:
    """Return the place with multipliers moved by the defects, and the root mean square of these."""
    defect = _defect(problem, here.unknowns, here.fields)
    moved = replace(here, multipliers=here.multipliers + defect, damping=jnp.asarray(FIRST_DAMPING))
    return moved, jnp.sqrt(jnp.mean(defect**2))


def _flat(rows: tuple) -> Float[Array, " rows"]:
    return jnp.concatenate([row.ravel() for row in rows])


def _half_square(rows: tuple) -> Float[Array, ""]:
    return 0.5 * jnp.sum(_flat(rows) ** 2)
