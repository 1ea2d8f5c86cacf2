"""Burgers' inverse problem by our PINN: Levenberg-Marquardt with a growing penalty of the equation."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from benchmarks.inverse.burgers_data import Samples
from benchmarks.inverse.burgers_peers import COLLOCATION, STARTS
from benchmarks.inverse.plain import plain_fit
from benchmarks.inverse.trajectory import Trajectory
from pinn.training.continuation import Box, Plan, continued
from pinn.training.envelope import Free
from pinn.training.features import BoxFeatures
from pinn.training.first_order import Schedule
from pinn.training.least_squares import term
from pinn.training.network import NetworkField, perceptron_field
from pinn.training.residuals import first, second
from pinn.training.sampling import evenly

HIDDEN = (24, 24, 24)
PLAN = Plan(Schedule(300, 1e-2, 512), (0.01, 0.01, 0.03, 0.1, 0.1, 0.1, 0.1, 0.1), 15, 3000)
# A first guess: what pretraining leaves over, or so.
FIRST_NOISE = 1e-2
CORNERS = (0.0, -1.0), (1.0, 1.0)


@final
class Velocity(eqx.Module):
    """The residuals of data and equation; unknowns are speed, logarithm of viscosity, then weights."""

    field: NetworkField

    def at(self, unknowns: Float[Array, " unknowns"], point: Float[Array, " 2"]) -> Float[Array, ""]:
        """Return the velocity at time and place."""
        return self.field(unknowns[2:], point)[0]

    def misfit(self, unknowns: Float[Array, " unknowns"], datum: Float[Array, " 3"]) -> Float[Array, ""]:
        """Return velocity minus datum; a datum is time, place, value."""
        return self.at(unknowns, datum[:2]) - datum[2]

    def residual(self, unknowns: Float[Array, " unknowns"], point: Float[Array, " 2"]) -> Float[Array, ""]:
        """Return u_t + speed u u_x - viscosity u_xx."""

        def velocity(point: Float[Array, " 2"]) -> Float[Array, ""]:
            return self.at(unknowns, point)

        advection = unknowns[0] * velocity(point) * first(velocity, point, 1)
        return first(velocity, point, 0) + advection - jnp.exp(unknowns[1]) * second(velocity, point, 1)


def fit(samples: Samples, seed: int, plan: Plan, cap_s: float, trajectory: Trajectory) -> Trajectory:
    """Return the estimates after each round, no round begun after the cap."""
    velocity, start, key = _begun(HIDDEN, seed)
    data = term(velocity.misfit, _rows(samples), 1.0 / FIRST_NOISE)
    box = Box(jnp.asarray(CORNERS[0]), jnp.asarray(CORNERS[1]))

    def note(unknowns: Float[Array, " unknowns"]) -> bool:
        trajectory.add(_estimates(unknowns))
        return trajectory.elapsed() < cap_s

    continued(data, [velocity.residual], box, start, len(STARTS), plan, key, note)
    return trajectory


def fit_plainly(samples: Samples, seed: int, cap_s: float, trajectory: Trajectory) -> Trajectory:
    """Return the estimates of the plain PINN, with DeepXDE's network and as many points."""
    velocity, start, key = _begun((20, 20, 20), seed)
    points = evenly(COLLOCATION, jnp.asarray(CORNERS[0]), jnp.asarray(CORNERS[1]), key)
    points = jnp.concatenate([jnp.asarray(samples.points), points])
    terms = [term(velocity.misfit, _rows(samples), 1.0), term(velocity.residual, points, 1.0)]
    return plain_fit(terms, start, _estimates, cap_s, trajectory)


def _begun(hidden: tuple[int, ...], seed: int) -> tuple[Velocity, Float[Array, " unknowns"], PRNGKeyArray]:
    weights_key, key = jax.random.split(jax.random.key(seed))
    field, weights = perceptron_field(BoxFeatures(*CORNERS), Free(), hidden, 1, weights_key)
    return Velocity(field), jnp.concatenate([jnp.asarray(STARTS), weights]), key


def _rows(samples: Samples) -> Float[Array, "n 3"]:
    return jnp.asarray(np.column_stack([samples.points, samples.values]))


def _estimates(unknowns: Float[Array, " unknowns"]) -> list[float]:
    return [float(unknowns[0]), float(jnp.exp(unknowns[1]))]
