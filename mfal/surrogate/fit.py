"""Maximum a posteriori fits by compiled L-BFGS of fixed length."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from mfal.types import Array, Float

STEPS = 60


def minimise(
    objective: Callable[[Float[Array, " p"]], Float[Array, ""]], starts: Float[Array, "starts p"]
) -> Float[Array, " p"]:
    """Return the best point that L-BFGS reaches from any of `starts`.

    Never worse than the starts: a run that meets a non-finite value keeps the best point it saw.
    Fixed length, so that it traces once and runs inside ``scan``.
    """
    points, losses = jax.lax.map(lambda start: _descend(objective, start), starts)
    return points[jnp.argmin(losses)]


def _descend(
    objective: Callable[[Float[Array, " p"]], Float[Array, ""]], start: Float[Array, " p"]
) -> tuple[Float[Array, " p"], Float[Array, ""]]:
    search = optax.scale_by_backtracking_linesearch(max_backtracking_steps=15, store_grad=True)
    solver = optax.lbfgs(memory_size=10, linesearch=search)
    value_and_gradient = optax.value_and_grad_from_state(objective)

    def step(carry, _):
        point, memory, best, best_loss = carry
        loss, gradient = value_and_gradient(point, state=memory)
        better = loss < best_loss
        best, best_loss = jnp.where(better, point, best), jnp.where(better, loss, best_loss)
        update, memory = solver.update(gradient, memory, point, value=loss, grad=gradient, value_fn=objective)
        return (jnp.asarray(optax.apply_updates(point, update)), memory, best, best_loss), None

    first = (start, solver.init(start), start, jnp.full((), jnp.inf))
    (point, _, best, best_loss), _ = jax.lax.scan(step, first, length=STEPS)
    loss = objective(point)
    return jnp.where(loss < best_loss, point, best), jnp.where(loss < best_loss, loss, best_loss)
