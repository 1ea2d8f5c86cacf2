"""A plain strong-form PINN: mean squares of data and equation counted alike, Adam at one rate until the time is up."""

from collections.abc import Callable, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from benchmarks.inverse.trajectory import Trajectory
from pinn.training.least_squares import Term, objective

RATE = 1e-3
# Between two looks at the clock.
STEPS = 200


def plain_fit(
    terms: Sequence[Term],
    unknowns: Float[Array, " unknowns"],
    estimates: Callable[[Float[Array, " unknowns"]], Sequence[float]],
    cap_s: float,
    trajectory: Trajectory,
) -> Trajectory:
    """Return the estimates in the course of Adam over all samples at each step.

    Args:
        terms: data and residuals; each is divided by its number of samples.
        unknowns: to begin with.
        estimates: of interest, from the unknowns.
        cap_s: seconds of the trajectory's clock after which it ends.
        trajectory: to note in.
    """
    terms = [Term(one.row, one.samples, one.weights * (2.0 / one.samples.shape[0]) ** 0.5, one.shifts) for one in terms]
    optimiser = optax.adam(RATE)
    state = optimiser.init(unknowns)
    while trajectory.elapsed() < cap_s:
        unknowns, state = _steps(terms, unknowns, state)
        trajectory.add(estimates(jax.block_until_ready(unknowns)))
    return trajectory


@eqx.filter_jit
def _steps(terms: Sequence[Term], unknowns: Array, state: optax.OptState) -> tuple[Array, optax.OptState]:
    def step(carry: tuple, _: None) -> tuple[tuple, None]:
        unknowns, state = carry
        gradient = jax.grad(objective, argnums=1)(terms, unknowns)
        updates, state = optax.adam(RATE).update(gradient, state)
        return (optax.apply_updates(unknowns, updates), state), None

    (unknowns, state), _ = jax.lax.scan(step, (unknowns, state), None, length=STEPS)
    return jnp.asarray(unknowns), state
