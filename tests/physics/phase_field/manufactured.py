"""Benchmark 7 of PFHub: phi_t = kappa lap(phi) - 4 phi (phi - 1) (phi - 1/2) + S, with S made from the solution.

The domain is mirrored at y = 0, so that it is periodic; there the solution is flat to exp(-0.38/sqrt(2 kappa)).
"""

from dataclasses import replace

import jax
import jax.numpy as jnp

from physics.phase_field.equations import AbstractEquation
from physics.phase_field.grid import Grid

KAPPA, DURATION = 0.0004, 8.0


class Manufactured(AbstractEquation):
    """The equation with a coefficient of its own; the source is always that of the benchmark's."""

    kappa: jax.Array
    x: jax.Array
    y: jax.Array

    def linear(self, eigenvalues):
        return self.kappa * eigenvalues

    def weight(self, eigenvalues):
        return eigenvalues**0

    def local(self, field, time):
        return -4 * field * (field - 1) * (field - 0.5) + self._source(time)

    def exact(self, time):
        return 0.5 * (1 - jnp.tanh(self._distance(time) / jnp.sqrt(2 * KAPPA)))

    def _distance(self, time):
        front = (
            0.25
            + 0.0075 * time * jnp.sin(8 * jnp.pi * self.x)
            + 0.03 * jnp.sin(22 * jnp.pi * self.x + 0.0625 * jnp.pi * time)
        )
        return jnp.abs(self.y) - front

    def _source(self, time):
        """Return S = phi_t - kappa lap(phi) + reaction in closed form, from the derivatives of the front."""
        one, two = 8 * jnp.pi * self.x, 22 * jnp.pi * self.x + 0.0625 * jnp.pi * time
        by_time = 0.0075 * jnp.sin(one) + 0.03 * 0.0625 * jnp.pi * jnp.cos(two)
        by_x = 0.0075 * time * 8 * jnp.pi * jnp.cos(one) + 0.03 * 22 * jnp.pi * jnp.cos(two)
        by_xx = -0.0075 * time * (8 * jnp.pi) ** 2 * jnp.sin(one) - 0.03 * (22 * jnp.pi) ** 2 * jnp.sin(two)
        width = jnp.sqrt(2 * KAPPA)
        tanh = jnp.tanh(self._distance(time) / width)
        slope = 0.5 * (1 - tanh**2) / width  # minus d phi / d distance
        bend = tanh * (1 - tanh**2) / width**2  # d^2 phi / d distance^2
        phi = 0.5 * (1 - tanh)
        laplacian = bend * (1 + by_x**2) + slope * by_xx
        return slope * by_time - KAPPA * laplacian + 4 * phi * (phi - 1) * (phi - 0.5)


def benchmark(points):
    """Return the grid of the mirrored domain and the equation with the benchmark's coefficient on it."""
    grid = Grid((points, points), 1.0 / points)
    x, y = grid.axes
    equation = Manufactured(jnp.asarray(KAPPA), jnp.asarray(x)[:, None] + 0 * y, (y - (y > 0.5))[None] + 0 * x[:, None])
    return grid, equation


class InPixels(AbstractEquation):
    """The equation in pixels and durations, in which inverse problems are posed."""

    inner: Manufactured
    spacing: float

    def linear(self, eigenvalues):
        return DURATION * self.inner.linear(eigenvalues / self.spacing**2)

    def weight(self, eigenvalues):
        return eigenvalues**0

    def local(self, field, time):
        return DURATION * self.inner.local(field, DURATION * time)

    @classmethod
    def of(cls, equation, grid, gradient):
        """Return it with an unknown coefficient in px^2 per duration."""
        return cls(replace(equation, kappa=gradient * grid.spacing**2 / DURATION), grid.spacing)
