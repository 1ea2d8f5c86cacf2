"""The recipe of an inverse problem: data first, then the equation with a penalty that grows from round to round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pinn.training.balance import noise_sd, weighted
from pinn.training.first_order import Schedule, adam
from pinn.training.least_squares import Term, term
from pinn.training.sampling import where_it_matters
from pinn.training.second_order import FIRST_DAMPING, damped_start, damped_steps


@dataclass(frozen=True)
class Plan:
    """How a network is fitted to data and an equation.

    Attributes:
        pretraining: of the network on the data alone.
        penalties: of the equation, one a round, relative to the weight of a datum: one over its noise.
        steps: of Levenberg-Marquardt in a round.
        collocation: points of the equation, drawn anew in each round where the residual is large.
        held: rounds, the first ones, in which the rates stay at their start. What a network makes of noise has larger
            slopes than the field: rates that follow it fall to zero, and the field to one that does not change.
    """

    pretraining: Schedule
    penalties: tuple[float, ...]
    steps: int
    collocation: int
    held: int = 0


@dataclass(frozen=True)
class Box:
    """Corners of space and time, time first."""

    low: Float[Array, " axes"]
    high: Float[Array, " axes"]


# Told the unknowns after each round, answers whether to go on.
Listener = Callable[[Float[Array, " unknowns"]], bool]


def continued(
    data: Term,
    equations: Sequence[Callable],
    box: Box,
    start: Float[Array, " unknowns"],
    rates: int,
    plan: Plan,
    key: PRNGKeyArray,
    listen: Listener,
) -> tuple[Float[Array, " unknowns"], np.ndarray]:
    """Return the unknowns and the objective of every step.

    The noise of the data is what the fit leaves over, taken anew after each round.

    Args:
        data: weighted by a first guess of the noise.
        equations: residuals of the unknowns and a point, of about the same size.
        box: in which the equations hold.
        start: unknowns to begin with.
        rates: how many of them, the first ones, are numbers of the equation.
        plan: schedule, penalties, steps and points.
        key: of minibatches and points.
        listen: told the unknowns after each round; the last one is that after which it answers False.
    """
    first, *rounds = jax.random.split(key, 1 + len(plan.penalties))
    scale = float(jnp.std(data.rows(start)))
    unknowns, curve = adam([data], start, plan.pretraining, first)
    curves, damping, noise = [np.asarray(curve)], jnp.asarray(FIRST_DAMPING), 1.0 / jnp.max(data.weights)
    for number, (penalty, key) in enumerate(zip(plan.penalties, rounds, strict=True)):
        points = where_it_matters(_Importance(tuple(equations), unknowns), plan.collocation, box.low, box.high, key)
        terms = [
            weighted(data, noise),
            *(term(row, points, penalty / noise) for row in _held(equations, start[:rates], number < plan.held)),
        ]
        state, values = damped_steps(terms, damped_start(terms, unknowns, damping), plan.steps)
        unknowns, damping = state.unknowns, state.damping
        noise = noise_sd(data, unknowns, scale)
        curves.append(np.asarray(values))
        if not listen(unknowns):
            break
    return unknowns, np.concatenate(curves)


def _held(equations: Sequence[Callable], rates: Float[Array, " rates"], on: bool) -> list["_Held"]:
    return [_Held(equation, rates, jnp.asarray(on)) for equation in equations]


@final
class _Held(eqx.Module):
    """A residual with the rates at their start, or at where they are: both in one compiled program."""

    equation: Callable
    rates: Float[Array, " rates"]
    on: Bool[Array, ""]

    def __call__(self, unknowns: Float[Array, " unknowns"], point: Float[Array, " axes"]) -> Float[Array, ""]:
        count = self.rates.size
        rates = jnp.where(self.on, self.rates, unknowns[:count])
        return self.equation(jnp.concatenate([rates, unknowns[count:]]), point)


@final
class _Importance(eqx.Module):
    """The size of the residuals at a point."""

    equations: tuple[Callable, ...]
    unknowns: Float[Array, " unknowns"]

    def __call__(self, point: Float[Array, " axes"]) -> Float[Array, ""]:
        return sum((jnp.abs(equation(self.unknowns, point)) for equation in self.equations), start=jnp.zeros(()))
