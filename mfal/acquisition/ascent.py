"""Ascent within a convex set that has a projection: every trial is feasible, and faces and corners are reached exactly.

The spectral projected gradient method, nonmonotone: Birgin, Martinez and Raydan 2000 (SIAM J. Optim. 10, 1196,
SPG2). One evaluation of value and gradient and at most one projection a step, accepted or not, and no inner loop, so
that any number of ascents run side by side under ``vmap``.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.types import Array, Bool, Float, Int

Objective = Callable[[Float[Array, " d"]], Float[Array, ""]]
Project = Callable[[Float[Array, " d"]], Float[Array, " d"]]

STEPS = 100
# A projected step shorter than this, in units of a fraction, leads nowhere.
STILL = 1e-9


class _Ascent(eqx.Module):
    best: Float[Array, " d"]
    best_value: Float[Array, ""]
    point: Float[Array, " d"]
    value: Float[Array, ""]
    gradient: Float[Array, " d"]
    direction: Float[Array, " d"]
    share: Float[Array, ""]
    scale: Float[Array, ""]
    recent: Float[Array, " memory"]
    step: Int[Array, ""]


def ascend(objective: Objective, project: Project, start: Float[Array, " d"]) -> tuple[Array, Array]:
    """Return the best point on the way to one that no projected gradient step improves, and its value.

    A start without a finite value is returned as it is.

    Args:
        objective: differentiable value of one point.
        project: nearest point of the set.
        start: a point of the set.
    """
    evaluate = jax.value_and_grad(objective)
    value, gradient = evaluate(start)
    scale = 1.0 / jnp.maximum(jnp.max(jnp.abs(project(start + gradient) - start)), STILL)
    recent = jnp.full(_MEMORY, jnp.inf).at[0].set(value)
    first = project(start + _bounded(scale, gradient) * gradient) - start
    none = jnp.zeros((), jnp.int32)
    begin = _Ascent(start, value, start, value, gradient, first, jnp.ones(()), scale, recent, none)
    end = jax.lax.while_loop(_unfinished, lambda ascent: _step(evaluate, project, ascent), begin)
    return end.best, end.best_value


# Values that a step may fall short of, the share of the slope that it has to gain, and scales of a step.
_MEMORY, _ARMIJO = 5, 1e-4
_SMALLEST, _LARGEST = 1e-10, 1e10


def _unfinished(ascent: _Ascent) -> Bool[Array, ""]:
    moves = jnp.max(jnp.abs(ascent.share * ascent.direction)) > STILL
    return (ascent.step < STEPS) & moves & jnp.isfinite(ascent.value)


def _step(evaluate: Callable, project: Project, ascent: _Ascent) -> _Ascent:
    """Go along the direction as far as the share says, and take it or halve the share."""
    trial = ascent.point + ascent.share * ascent.direction
    value, gradient = evaluate(trial)
    slope = ascent.gradient @ ascent.direction
    usable = jnp.isfinite(value) & jnp.isfinite(gradient).all()
    taken = usable & (value >= jnp.min(ascent.recent) + _ARMIJO * ascent.share * slope)
    scale = jnp.where(taken, _scale(trial - ascent.point, gradient - ascent.gradient, ascent.scale), ascent.scale)
    point = jnp.where(taken, trial, ascent.point)
    gradient = jnp.where(taken, gradient, ascent.gradient)
    onward = project(point + _bounded(scale, gradient) * gradient) - point
    better = taken & (value > ascent.best_value)
    return _Ascent(
        best=jnp.where(better, trial, ascent.best),
        best_value=jnp.where(better, value, ascent.best_value),
        point=point,
        value=jnp.where(taken, value, ascent.value),
        gradient=gradient,
        direction=jnp.where(taken, onward, ascent.direction),
        share=jnp.where(taken, 1.0, _shorter(ascent, value, slope)),
        scale=scale,
        recent=jnp.where(taken, jnp.roll(ascent.recent, 1).at[0].set(value), ascent.recent),
        step=ascent.step + 1,
    )


def _scale(moved: Float[Array, " d"], turned: Float[Array, " d"], scale: Float[Array, ""]) -> Float[Array, ""]:
    """Return the step over the gradient that the last move suggests (Barzilai and Borwein 1988); grow where convex."""
    bent = -(moved @ turned)
    spectral = (moved @ moved) / jnp.where(bent > 0.0, bent, 1.0)
    return jnp.clip(jnp.where(bent > 0.0, spectral, _GROWTH * scale), _SMALLEST, _LARGEST)


_GROWTH = 10.0


def _bounded(scale: Float[Array, ""], gradient: Float[Array, " d"]) -> Float[Array, ""]:
    """Return the scale of a step that leads no further than any set is wide: what is nearest hardly changes beyond."""
    return jnp.minimum(scale, _FAR / jnp.maximum(jnp.max(jnp.abs(gradient)), _SMALLEST))


# In units of a fraction.
_FAR = 100.0


def _shorter(ascent: _Ascent, value: Float[Array, ""], slope: Float[Array, ""]) -> Float[Array, ""]:
    """Return the share at the top of the parabola through both values and the slope, between a tenth and a half."""
    missing = ascent.value + ascent.share * slope - value
    top = 0.5 * ascent.share * slope / jnp.where(missing > 0.0, missing, jnp.inf)
    return ascent.share * jnp.where(jnp.isfinite(value), jnp.clip(top, 0.1, 0.5), 0.1)
