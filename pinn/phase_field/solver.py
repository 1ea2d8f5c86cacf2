"""Levenberg-Marquardt through the spectral solver: the default way to the maximum of the log-posterior."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from pinn.phase_field.normal import Point, conjugate_gradients, dense, normal, point_of, rough_inverse, unknowns_at
from pinn.phase_field.problem import Maximum, Problem, Unknowns

MOST_STEPS = 60
ENOUGH_NATS = 1e-4  # what a further step would gain: a hundredth of a standard deviation
LOOSE, MOST_ITERATIONS = 1e-2, 200  # of the inner solution, which the next step corrects
FIRST_DAMPING, LEAST_DAMPING, MOST_DAMPING = 1e-2, 1e-7, 1e9


class Step(eqx.Module):
    """The model about one place, and the way to its minimum.

    Attributes:
        place: where the model was made.
        move: to the minimum of the damped model.
        squares: of the residuals at the place, in intensities.
        log_prior: at the place.
        gain: of minus log-posterior, as the model promises, nats.
    """

    place: Unknowns
    move: Point
    squares: Float[Array, ""]
    log_prior: Float[Array, ""]
    gain: Float[Array, ""]

    @property
    def value(self) -> Float[Array, ""]:
        """Return minus log-posterior without its noise term."""
        return 0.5 * self.squares * jnp.exp(-2 * self.place.log_noise) - self.log_prior


def maximise(problem: Problem, key: PRNGKeyArray) -> Maximum:
    """Return the maximum of the log-posterior near the problem's start; `key` is not used, nothing here is random.

    A step is taken where it lowers minus log-posterior, and tried again with more damping where not. An unknown noise
    follows the residuals from step to step.
    """
    del key
    damping, trace = FIRST_DAMPING, []
    here = _step(problem, problem.start, jnp.asarray(damping))
    for _ in range(MOST_STEPS):
        there = _step(problem, _moved(problem, here), jnp.asarray(damping))
        if there.value < here.value:
            damping = max(damping / 10, LEAST_DAMPING)
            here = _with_noise(problem, there)
            trace.append(float(here.value + jnp.sum(problem.known) * here.place.log_noise))
        elif here.gain < ENOUGH_NATS or damping > MOST_DAMPING:
            break  # rounding decides, or no step is short enough
        else:
            damping = max(10 * damping, FIRST_DAMPING)
            here = _step(problem, here.place, jnp.asarray(damping))
        if here.gain < ENOUGH_NATS and damping < FIRST_DAMPING:
            break
    return Maximum(here.place, np.array(trace), bool(here.gain < ENOUGH_NATS))


@jax.jit
def _step(problem: Problem, place: Unknowns, damping: Float[Array, ""]) -> Step:
    move, gradient, squares = (_field_move if problem.initial_free else _scalar_move)(problem, place, damping)
    gain = -0.5 * (jnp.sum(move.scalars * gradient.scalars) + jnp.sum(move.initial * gradient.initial))
    return Step(place, move, squares, problem.log_prior(place), gain)


def _scalar_move(problem: Problem, place: Unknowns, damping: Float[Array, ""]) -> tuple[Point, Point, Float[Array, ""]]:
    """Return the move to the minimum of the damped model, the gradient, and the sum of squares."""
    model, still = dense(problem, place), jnp.zeros_like(place.initial)
    block = model.block + damping * jnp.diag(jnp.diag(model.block))
    move = -jnp.linalg.solve(block, model.gradient)
    return Point(move, still), Point(model.gradient, still), model.squares


def _field_move(problem: Problem, place: Unknowns, damping: Float[Array, ""]) -> tuple[Point, Point, Float[Array, ""]]:
    """Return the same where the initial field is free too, to a loose tolerance."""
    model = normal(problem, place)
    scale = jnp.diag(model.block)
    inverse = jnp.linalg.inv(model.block + damping * jnp.diag(scale))
    field_inverse = rough_inverse(problem, model, damping)

    def damped(direction: Point) -> Point:
        image = model.product(direction)
        scalars = image.scalars + damping * scale * direction.scalars
        return Point(scalars, image.initial + damping * model.diagonal * direction.initial)

    def precondition(gradient: Point) -> Point:
        return Point(inverse @ gradient.scalars, field_inverse(gradient.initial))

    downhill = jax.tree.map(jnp.negative, model.gradient)
    move, _ = conjugate_gradients(damped, downhill, precondition, LOOSE, MOST_ITERATIONS)
    return move, model.gradient, model.squares


def _moved(problem: Problem, step: Step) -> Unknowns:
    at = point_of(problem, step.place)
    return unknowns_at(problem, step.place, jax.tree.map(jnp.add, at, step.move))


def _with_noise(problem: Problem, step: Step) -> Step:
    """Return the step with the noise that its residuals show, where noise is to be estimated."""
    if not problem.noise_free:
        return step
    noise = problem.log_noise_from(step.squares)
    shrunk = jnp.exp(2 * (step.place.log_noise - noise))
    place = eqx.tree_at(lambda tree: tree.log_noise, step.place, noise)
    return replace(step, place=place, gain=step.gain * shrunk)
