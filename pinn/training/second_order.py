"""Levenberg-Marquardt over all unknowns at once, networks' weights included, in float64."""

from collections.abc import Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from pinn.training.compiling import compiled
from pinn.training.least_squares import NormalEquations, Term, normal_equations, objective

# Relative to the largest diagonal entry; the first steps of a network are far from quadratic.
FIRST_DAMPING = 1e-3
LEAST_DAMPING = 1e-15


@final
class DampedState(eqx.Module):
    """Where Levenberg-Marquardt stands.

    Attributes:
        unknowns: best so far.
        equations: at the unknowns.
        damping: added to the diagonal of the Gauss-Newton matrix, relative to its largest entry.
        growth: factor of the damping at the next refused step (Nielsen 1999).
        accepted: steps taken since the start.
    """

    unknowns: Float[Array, " unknowns"]
    equations: NormalEquations
    damping: Float[Array, ""]
    growth: Float[Array, ""]
    accepted: Int[Array, ""]


@compiled
def damped_start(
    terms: Sequence[Term], unknowns: Float[Array, " unknowns"], damping: Float[Array, ""] | float = FIRST_DAMPING
) -> DampedState:
    """Return the state before the first step."""
    equations = normal_equations(terms, unknowns)
    return DampedState(unknowns, equations, jnp.asarray(damping, float), jnp.asarray(2.0), jnp.asarray(0))


@compiled
def damped_steps(terms: Sequence[Term], state: DampedState, steps: int) -> tuple[DampedState, Float[Array, " steps"]]:
    """Return the state after some trial steps and the objective after each.

    A step that does not lower the objective is refused: the damping grows, and the equations are kept.
    """

    def step(state: DampedState, _: None) -> tuple[DampedState, Float[Array, ""]]:
        state = _step(terms, state)
        return state, state.equations.value

    return jax.lax.scan(step, state, None, length=steps)


def _step(terms: Sequence[Term], state: DampedState) -> DampedState:
    change = _damped_solution(state)
    value = objective(terms, state.unknowns + change)
    predicted = -0.5 * (state.equations.gradient @ change) + 0.5 * _damper(state) * (change @ change)
    # Where the factorisation failed everything is NaN, and the comparison refuses.
    gain = (state.equations.value - value) / predicted
    return jax.lax.cond(gain > 1e-4, lambda: _taken(terms, state, change, gain), lambda: _refused(state))


def _damper(state: DampedState) -> Float[Array, ""]:
    return state.damping * jnp.max(jnp.diagonal(state.equations.matrix))


def _damped_solution(state: DampedState) -> Float[Array, " unknowns"]:
    matrix = state.equations.matrix + _damper(state) * jnp.eye(state.unknowns.size)
    factor = jax.scipy.linalg.cho_factor(matrix, lower=True)
    return -jax.scipy.linalg.cho_solve(factor, state.equations.gradient)


def _taken(terms: Sequence[Term], state: DampedState, change: Array, gain: Array) -> DampedState:
    unknowns = state.unknowns + change
    damping = state.damping * jnp.maximum(1.0 / 3.0, 1.0 - (2.0 * gain - 1.0) ** 3)
    return DampedState(
        unknowns,
        normal_equations(terms, unknowns),
        jnp.maximum(damping, LEAST_DAMPING),
        jnp.asarray(2.0),
        state.accepted + 1,
    )


def _refused(state: DampedState) -> DampedState:
    return DampedState(
        state.unknowns, state.equations, state.damping * state.growth, 2.0 * state.growth, state.accepted
    )
