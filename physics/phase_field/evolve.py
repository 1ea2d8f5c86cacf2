"""Fourth-order exponential time differencing of phase fields, differentiable forward and in reverse.

The Runge-Kutta scheme of Krogstad (2005, 10.1016/j.jcp.2004.08.006): the stiff linear part is exact, the rest of order
four in the step; less in steps that are long for the sharpest features of a start. Its coefficients are combinations
of phi_n(z) = sum_k z^k / (k+n)!.
"""

import math
from collections.abc import Sequence
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

from physics.phase_field.equations import AbstractEquation
from physics.phase_field.grid import Grid

TAYLOR_TERMS = 16  # where |z| < 1: the first term left out is below 1e-16 of the sum


class Schedule(eqx.Module):
    """When to store a field, as equal numbers of steps in segments of about equal length.

    Attributes:
        starts: time at the start of each segment.
        lengths: of each segment.
        stored: how many segments lie before each wanted time.
        steps: in each segment.
    """

    starts: Float[Array, " segments"]
    lengths: Float[Array, " segments"]
    stored: tuple[int, ...] = eqx.field(static=True)
    steps: int = eqx.field(static=True)


def schedule(times: Sequence[float] | np.ndarray, longest_step: float) -> Schedule:
    """Return segments between increasing times, such that no step is longer than `longest_step`.

    Args:
        times: wanted; the first is that of the initial field. Long gaps are cut, so that few steps are wasted on short
            ones.
        longest_step: in the unit of the times.

    Raises:
        ValueError: the times do not increase, or the step is not positive.
    """
    gaps = np.diff(np.asarray(times, float))
    if gaps.size == 0 or not (gaps > 0).all() or not longest_step > 0:
        raise ValueError(f"{times=}, {longest_step=}: give at least two increasing times and a positive step")
    pieces = np.ceil(gaps / max(np.median(gaps), longest_step) - 1e-9).astype(int)
    lengths = np.repeat(gaps / pieces, pieces)
    starts = times[0] + np.concatenate([[0.0], np.cumsum(lengths)[:-1]])
    stored = tuple(int(count) for count in np.concatenate([[0], np.cumsum(pieces)]))
    steps = math.ceil(lengths.max() / longest_step - 1e-9)
    return Schedule(jnp.asarray(starts), jnp.asarray(lengths), stored, steps)


def evolve(
    initial: Float[Array, "*pixels"], equation: AbstractEquation, grid: Grid, when: Schedule
) -> Float[Array, "times *pixels"]:
    """Return the field at the times of a schedule, the initial one first."""
    eigenvalues = grid.eigenvalues()

    # Reverse differentiation keeps one spectrum a segment and does the steps of one segment again.
    @jax.checkpoint
    def segment(spectrum, span):
        start, length = span
        step = length / when.steps
        stepper = _Stepper.of(equation, grid, eigenvalues, step)
        times = start + step * jnp.arange(when.steps)
        spectrum, _ = jax.lax.scan(lambda carry, time: (stepper(carry, time), None), spectrum, times)
        return spectrum, grid.inverse(spectrum)

    _, fields = jax.lax.scan(segment, grid.transform(initial), (when.starts, when.lengths))
    return jnp.concatenate([initial[None], fields])[np.array(when.stored)]


class _Stepper(eqx.Module):
    """One step, with coefficients that depend on its length; a rate is N in the space of modes."""

    equation: AbstractEquation
    grid: Grid
    step: Float[Array, ""]
    half: Float[Array, "*modes"]
    full: Float[Array, "*modes"]
    first: Float[Array, "*modes"]
    second: tuple[Float[Array, "*modes"], Float[Array, "*modes"]]
    third: tuple[Float[Array, "*modes"], Float[Array, "*modes"]]
    last: tuple[Float[Array, "*modes"], Float[Array, "*modes"], Float[Array, "*modes"]]

    @classmethod
    def of(
        cls, equation: AbstractEquation, grid: Grid, eigenvalues: Float[Array, "*modes"], step: Float[Array, ""]
    ) -> "_Stepper":
        z = step * equation.linear(eigenvalues)
        scale = step * equation.weight(eigenvalues)
        one, two, three = _phis(z)
        early_one, early_two, _ = _phis(z / 2)
        return cls(
            equation=equation,
            grid=grid,
            step=step,
            half=jnp.exp(z / 2),
            full=jnp.exp(z),
            first=scale / 2 * early_one,
            second=(scale * (early_one / 2 - early_two), scale * early_two),
            third=(scale * (one - 2 * two), scale * 2 * two),
            last=(scale * (one - 3 * two + 4 * three), scale * (2 * two - 4 * three), scale * (4 * three - two)),
        )

    def __call__(self, u: Inexact[Array, "*modes"], time: Float[Array, ""]) -> Inexact[Array, "*modes"]:
        middle = time + self.step / 2
        one = self._rate(u, time)
        two = self._rate(self.half * u + self.first * one, middle)
        three = self._rate(self.half * u + self.second[0] * one + self.second[1] * two, middle)
        four = self._rate(self.full * u + self.third[0] * one + self.third[1] * three, time + self.step)
        return self.full * u + self.last[0] * one + self.last[1] * (two + three) + self.last[2] * four

    def _rate(self, spectrum: Inexact[Array, "*modes"], time: Float[Array, ""]) -> Inexact[Array, "*modes"]:
        return self.grid.transform(self.equation.local(self.grid.inverse(spectrum), time))


def _phis(z: Float[Array, "*modes"]) -> tuple[Float[Array, "*modes"], ...]:
    """Return phi_1, phi_2 and phi_3, the lower two by phi_n = 1/n! + z phi_(n+1)."""
    three = _phi(3, z)
    two = 0.5 + z * three
    return 1.0 + z * two, two, three


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _phi(order: int, z: Float[Array, "*modes"]) -> Float[Array, "*modes"]:
    """Return phi_n without the cancellation of its closed form near zero, where a sum takes its place."""
    near = jnp.abs(z) < 1.0
    small, large = jnp.where(near, z, 0.0), jnp.where(near, -1.0, z)
    series = jnp.zeros_like(z)
    for term in reversed(range(TAYLOR_TERMS)):
        series = series * small + 1.0 / math.factorial(term + order)
    head = sum(large**term / math.factorial(term) for term in range(order))
    return jnp.where(near, series, (jnp.exp(large) - head) / large**order)


@_phi.defjvp
def _phi_tangent(order: int, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    """Return phi_n' = phi_n - n phi_(n+1), term by term of their sums."""
    (z,), (direction,) = primals, tangents
    value = _phi(order, z)
    return value, direction * (value - order * _phi(order + 1, z))
