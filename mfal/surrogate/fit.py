"""Maximum a posteriori fits by a compiled, batched BFGS.

One evaluation of value and gradient a step, accepted or not, and no inner loop: that is what lets any number of starts,
levels and simulated campaigns run side by side under ``vmap``. (Line searches with loops of their own do not.)
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.types import Array, Bool, Float, Int

STEPS = 80

Objective = Callable[[Float[Array, " p"]], Float[Array, ""]]


class _Descent(eqx.Module):
    point: Float[Array, " p"]
    loss: Float[Array, ""]
    gradient: Float[Array, " p"]
    inverse_hessian: Float[Array, "p p"]
    length: Float[Array, ""]
    step: Int[Array, ""]
    finished: Bool[Array, ""]


# For hyper-parameters: a hundredth of a nat decides nothing.
TOLERANCE = 1e-2


def minimise(
    objective: Objective, starts: Float[Array, "starts p"], tolerance: float = 1e-9, steps: int = STEPS
) -> Float[Array, " p"]:
    """Return the best point that BFGS reaches from any of `starts` within `steps` evaluations; never worse than they.

    A descent ends when a full step improves the objective by less than `tolerance`.

    Source: Nocedal and Wright 2006, alg. 6.1 with backtracking by quadratic interpolation (sec. 3.5).
    """
    ends = jax.vmap(lambda start: _descend(objective, start, tolerance, steps))(starts)
    return ends.point[jnp.argmin(jnp.where(jnp.isfinite(ends.loss), ends.loss, jnp.inf))]


def _descend(objective: Objective, start: Float[Array, " p"], tolerance: float, steps: int) -> _Descent:
    evaluate = jax.value_and_grad(objective)
    loss, gradient = evaluate(start)
    size, one = start.shape[0], jnp.ones((), start.dtype)
    usable = jnp.isfinite(loss) & jnp.isfinite(gradient).all()
    first = one / jnp.maximum(jnp.linalg.norm(gradient), 1.0)
    begin = _Descent(start, loss, gradient, first * jnp.eye(size), one, jnp.zeros((), jnp.int32), ~usable)
    unfinished = lambda state: (state.step < steps) & ~state.finished  # noqa: E731
    return jax.lax.while_loop(unfinished, lambda state: _step(evaluate, state, tolerance), begin)


def _step(evaluate: Callable, state: _Descent, tolerance: float) -> _Descent:
    direction = -state.inverse_hessian @ state.gradient
    descent = direction @ state.gradient
    # A direction that does not descend means that the curvature has gone bad: start again from the gradient.
    direction = jnp.where(descent < 0.0, direction, -state.gradient)
    descent = jnp.minimum(descent, -jnp.sum(state.gradient**2) * (descent >= 0.0))
    trial = state.point + state.length * direction
    loss, gradient = evaluate(trial)
    usable = jnp.isfinite(loss) & jnp.isfinite(gradient).all()
    accepted = usable & (loss <= state.loss + _ARMIJO * state.length * descent)
    updated = _updated(state.inverse_hessian, trial - state.point, gradient - state.gradient)
    excess = loss - state.loss - state.length * descent
    shorter = jnp.clip(-0.5 * descent * state.length / jnp.where(excess > 0.0, excess, jnp.inf), 0.1, 0.5)
    flat = jnp.maximum(tolerance, _FLAT * jnp.abs(loss))
    small = accepted & (state.length == 1.0) & (state.step > 0) & (state.loss - loss < flat)
    return _Descent(
        point=jnp.where(accepted, trial, state.point),
        loss=jnp.where(accepted, loss, state.loss),
        gradient=jnp.where(accepted, gradient, state.gradient),
        inverse_hessian=jnp.where(accepted, updated, state.inverse_hessian),
        length=jnp.where(accepted, 1.0, state.length * jnp.where(usable, shorter, 0.1)),
        step=state.step + 1,
        finished=small | (state.length < _SHORTEST),
    )


def _updated(inverse: Float[Array, "p p"], moved: Float[Array, " p"], turned: Float[Array, " p"]) -> Array:
    """Return the inverse Hessian after the BFGS update, unchanged where the curvature is not positive."""
    curvature = moved @ turned
    sound = curvature > 1e-10 * jnp.linalg.norm(moved) * jnp.linalg.norm(turned)
    rho = 1.0 / jnp.where(sound, curvature, 1.0)
    left = jnp.eye(moved.shape[0]) - rho * jnp.outer(moved, turned)
    return jnp.where(sound, left @ inverse @ left.T + rho * jnp.outer(moved, moved), inverse)


_ARMIJO, _FLAT, _SHORTEST = 1e-4, 1e-9, 1e-10
