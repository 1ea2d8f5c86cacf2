"""The one log-posterior: every back end maximises it, and the posterior of each is judged by it.

Lengths are in pixels and times in durations of the series, so that unknowns are of order one for any microscope.
"""

from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physics.phase_field.equations import AbstractEquation, AllenCahn, CahnHilliard
from physics.phase_field.evolve import evolve, schedule
from physics.phase_field.grid import Grid
from physics.phase_field.observe import blurred

# The scalars among the unknowns, in the order of every vector and matrix of them: first the equation's.
RATES = ("log_gradient", "log_well", "drive")
SCALARS = (*RATES, "gain", "offset", "blur_variance", "log_noise")


class Unknowns(eqx.Module):
    """Everything that the data depend on; a problem says which of it is free.

    Attributes:
        log_gradient: of a = M kappa in px^2 per duration (px^4 for Cahn-Hilliard).
        log_well: of b = M W per duration (px^2 per duration).
        drive: c = M dG per duration; 0 for Cahn-Hilliard.
        gain: intensity of phi = 1 over that of phi = 0.
        offset: intensity of phi = 0.
        blur_variance: of the point-spread function, px^2.
        log_noise: of the standard deviation of a pixel's noise, in intensities.
        initial: order parameter or concentration at the first time, on the whole grid.
    """

    log_gradient: Float[Array, ""]
    log_well: Float[Array, ""]
    drive: Float[Array, ""]
    gain: Float[Array, ""]
    offset: Float[Array, ""]
    blur_variance: Float[Array, ""]
    log_noise: Float[Array, ""]
    initial: Float[Array, "*grid"]


@dataclass(frozen=True)
class Maximum:
    """Where a back end ended: the unknowns, minus log-posterior at each of its steps, and whether it came to rest."""

    unknowns: Unknowns
    trace: np.ndarray
    converged: bool


class Problem(eqx.Module):
    """Data, equation and priors of one fit.

    Attributes:
        measured: intensities, 0 where nothing was measured.
        known: 1 where a pixel was measured, else 0.
        centre: prior means.
        precision: prior precisions, 0 where flat.
        start: where fits begin; what is not free stays there.
        times: of the frames, from 0 to 1.
        grid: of the solver, spacing 1 px; larger than the frames where the edge is open.
        corner: of the frames in the grid.
        kind: of the equation.
        blurs: whether there is a point-spread function, known or fitted.
        pixel_average: as of `Camera`.
        free: names of the free scalars, in the order of `SCALARS`; the noise is not among them.
        noise_free: whether the noise is estimated.
        initial_free: whether the initial field is.
        longest_step: of the solver, in durations.
    """

    measured: Float[Array, "times *pixels"]
    known: Float[Array, "times *pixels"]
    centre: Unknowns
    precision: Unknowns
    start: Unknowns
    times: tuple[float, ...] = eqx.field(static=True)
    grid: Grid = eqx.field(static=True)
    corner: tuple[int, ...] = eqx.field(static=True)
    kind: Literal["allen-cahn", "cahn-hilliard"] = eqx.field(static=True)
    blurs: bool = eqx.field(static=True)
    pixel_average: bool = eqx.field(static=True)
    free: tuple[str, ...] = eqx.field(static=True)
    noise_free: bool = eqx.field(static=True)
    initial_free: bool = eqx.field(static=True)
    longest_step: float = eqx.field(static=True)

    def equation(self, unknowns: Unknowns) -> AbstractEquation:
        """Return the equation with these rates."""
        gradient, well = jnp.exp(unknowns.log_gradient), jnp.exp(unknowns.log_well)
        if self.kind == "cahn-hilliard":
            return CahnHilliard(gradient, well)
        return AllenCahn(gradient, well, unknowns.drive)

    def fields(self, unknowns: Unknowns) -> Float[Array, "times *grid"]:
        """Return the order parameter at the times of the frames, by the spectral solver."""
        when = schedule(self.times, self.longest_step)
        return evolve(unknowns.initial, self.equation(unknowns), self.grid, when)

    @property
    def free_rates(self) -> int:
        """Return how many of the free scalars, the first ones, are rates."""
        return sum(name in RATES for name in self.free)

    @property
    def window(self) -> tuple[slice, ...]:
        """Return where the frames lie in the grid."""
        pixels = self.measured.shape[1:]
        return tuple(slice(first, first + size) for first, size in zip(self.corner, pixels, strict=True))

    @property
    def margins(self) -> tuple[tuple[int, int], ...]:
        """Return the points of the grid before and behind the frames along each axis."""
        return tuple((cut.start, size - cut.stop) for cut, size in zip(self.window, self.grid.shape, strict=True))

    def seen(self, fields: Float[Array, "times *grid"], unknowns: Unknowns) -> Float[Array, "times *pixels"]:
        """Return what the camera would record of these fields without noise."""
        if self.blurs or self.pixel_average:
            fields = blurred(fields, self.grid, unknowns.blur_variance, self.pixel_average)
        return unknowns.gain * fields[(slice(None), *self.window)] + unknowns.offset

    @eqx.filter_jit
    def predicted(self, unknowns: Unknowns) -> Float[Array, "times *pixels"]:
        """Return what the camera would record without noise, by the spectral solver; compiled once a time step."""
        return self.seen(self.fields(unknowns), unknowns)

    def misfit(self, seen: Float[Array, "times *pixels"]) -> Float[Array, "times *pixels"]:
        """Return what the camera would record less what was measured, 0 where nothing was."""
        return self.known * (seen - self.measured)

    def log_noise_from(self, squares: Float[Array, ""]) -> Float[Array, ""]:
        """Return the logarithm of the noise that leaves a misfit of this sum of squares.

        Each pixel of an initial field that any frame shows takes one degree of freedom, as each free scalar does.
        """
        known = jnp.sum(self.known)
        taken = len(self.free) + self.initial_free * jnp.sum(self.known.max(axis=0))
        return 0.5 * jnp.log(squares / jnp.maximum(known - taken, known / 4))

    def log_likelihood(self, fields: Float[Array, "times *grid"], unknowns: Unknowns) -> Float[Array, ""]:
        """Return the Gaussian log-likelihood of the data for fields from any back end, up to a constant."""
        squares = jnp.sum(self.misfit(self.seen(fields, unknowns)) ** 2) * jnp.exp(-2 * unknowns.log_noise)
        return -0.5 * squares - jnp.sum(self.known) * unknowns.log_noise

    def log_prior(self, unknowns: Unknowns) -> Float[Array, ""]:
        """Return the log-density of the priors, up to a constant; that of what is not free is one."""
        pairs = [(getattr(self.precision, name), self._off(name, unknowns)) for name in (*SCALARS, "initial")]
        return -0.5 * sum((jnp.sum(precision * off**2) for precision, off in pairs), start=jnp.zeros(()))

    def log_posterior(self, unknowns: Unknowns) -> Float[Array, ""]:
        """Return log-likelihood, through the solver, and log-prior."""
        return self.log_likelihood(self.fields(unknowns), unknowns) + self.log_prior(unknowns)

    def vector(self, unknowns: Unknowns) -> Float[Array, " p"]:
        """Return the free scalars."""
        return jnp.stack([getattr(unknowns, name) for name in self.free])

    def with_vector(self, unknowns: Unknowns, values: Float[Array, " p"]) -> Unknowns:
        """Return unknowns with the free scalars replaced."""
        return eqx.tree_at(lambda tree: [getattr(tree, name) for name in self.free], unknowns, list(values))

    def _off(self, name: str, unknowns: Unknowns) -> Array:
        return getattr(unknowns, name) - getattr(self.centre, name)
