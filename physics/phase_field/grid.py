"""Regular grids in one to three dimensions, and the transforms that make their Laplacian diagonal."""

from typing import Literal, get_args

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Inexact

Boundary = Literal["periodic", "no-flux"]


class Grid(eqx.Module):
    """Points on a box of equal cells.

    Attributes:
        shape: points along each axis.
        spacing: distance of neighbours, the same along all axes.
        boundary: "periodic", or "no-flux" with the walls half a spacing outside the outermost points.
    """

    shape: tuple[int, ...] = eqx.field(static=True)
    spacing: float = eqx.field(static=True, default=1.0)
    boundary: Boundary = eqx.field(static=True, default="periodic")

    def __check_init__(self):
        """Refuse what has no transform.

        Raises:
            ValueError: there are not one to three axes of at least four points, or the boundary is not known.
        """
        if not 1 <= len(self.shape) <= 3 or min(self.shape) < 4:
            raise ValueError(f"{self.shape=}: give one to three axes of at least four points")
        if not self.spacing > 0 or self.boundary not in get_args(Boundary):
            raise ValueError(f"{self.spacing=}, {self.boundary=}: give a positive spacing and one of {Boundary}")

    @property
    def axes(self) -> tuple[np.ndarray, ...]:
        """Return the coordinates of the points along each axis, from 0."""
        return tuple(self.spacing * np.arange(points) for points in self.shape)

    def eigenvalues(self) -> Float[Array, "*modes"]:
        """Return the eigenvalues of the Laplacian, none positive, in the order of `transform`."""
        last = len(self.shape) - 1
        squares = [self.wave_numbers(axis, axis == last) ** 2 for axis in range(last + 1)]
        return -jnp.asarray(sum(np.ix_(*squares), start=np.zeros(())))

    def wave_numbers(self, axis: int, halved: bool) -> np.ndarray:
        """Return the wave numbers along one axis; `halved` where the transform of a real field keeps half of them."""
        points = self.shape[axis]
        if self.boundary == "no-flux":
            return np.pi * np.arange(points) / (points * self.spacing)
        frequencies = np.fft.rfftfreq if halved else np.fft.fftfreq
        return 2 * np.pi * frequencies(points, self.spacing)

    def transform(self, field: Float[Array, "*pixels"]) -> Inexact[Array, "*modes"]:
        """Return the Fourier or cosine coefficients of a field."""
        if self.boundary == "periodic":
            return jnp.fft.rfftn(field)
        return self._along_every_axis(field, [_cosines(points) for points in self.shape])

    def inverse(self, spectrum: Inexact[Array, "*modes"]) -> Float[Array, "*pixels"]:
        """Return the field that has these coefficients."""
        if self.boundary == "periodic":
            return jnp.fft.irfftn(spectrum, self.shape)
        return self._along_every_axis(spectrum, [_cosines(points).T for points in self.shape])

    def _along_every_axis(self, field: Array, matrices: list[np.ndarray]) -> Array:
        # Below some hundred points a product with the matrix is no slower than a fast cosine transform.
        for matrix in matrices:
            field = jnp.moveaxis(jnp.tensordot(matrix, field, (1, 0)), 0, -1)
        return field


def _cosines(points: int) -> np.ndarray:
    """Return the orthonormal matrix of the cosine transform of type II, shape (modes, points)."""
    angles = np.pi * np.outer(np.arange(points), np.arange(points) + 0.5) / points
    return np.cos(angles) * np.sqrt(np.where(np.arange(points) == 0, 1.0, 2.0) / points)[:, None]
