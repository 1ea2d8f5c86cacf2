"""Transforms against cosines and waves whose Laplacian is known."""

import jax.numpy as jnp
import numpy as np
import pytest

from physics.phase_field.grid import Grid
from physics.phase_field.observe import blurred

SHAPES = [(9,), (8, 6), (5, 4, 7)]


def wave(grid: Grid) -> tuple[np.ndarray, float]:
    """Return a product of slow waves that meets the boundary, and its eigenvalue."""
    total, eigenvalue = np.ones(grid.shape), 0.0
    for axis, points in enumerate(grid.shape):
        walls = grid.boundary == "no-flux"
        number = (1.0 if walls else 2.0) * np.pi / (points * grid.spacing)
        along = np.cos(number * grid.spacing * (np.arange(points) + 0.5 * walls))
        total = total * along.reshape([-1 if one == axis else 1 for one in range(len(grid.shape))])
        eigenvalue -= number**2
    return total, eigenvalue


@pytest.mark.parametrize("boundary", ["periodic", "no-flux"])
@pytest.mark.parametrize("shape", SHAPES)
def test_laplacian_of_a_wave_is_its_eigenvalue(shape, boundary):
    grid = Grid(shape, 0.3, boundary)
    field, eigenvalue = wave(grid)
    laplacian = grid.inverse(grid.eigenvalues() * grid.transform(jnp.asarray(field)))
    np.testing.assert_allclose(laplacian, eigenvalue * field, rtol=0, atol=1e-11 * abs(eigenvalue))


@pytest.mark.parametrize("boundary", ["periodic", "no-flux"])
@pytest.mark.parametrize("shape", SHAPES)
def test_inverse_undoes_the_transform(shape, boundary):
    grid = Grid(shape, 0.3, boundary)
    field = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(grid.inverse(grid.transform(jnp.asarray(field))), field, rtol=0, atol=1e-13)


@pytest.mark.parametrize("wrong", [{"shape": (3, 8)}, {"shape": (4, 4, 4, 4)}, {"shape": (8,), "spacing": 0.0}])
def test_grid_without_a_transform_is_refused(wrong):
    with pytest.raises(ValueError, match="give"):
        Grid(**wrong)


def test_blur_of_a_wave_is_the_transform_of_the_gaussian():
    grid = Grid((16, 12), 1.0, "no-flux")
    field, eigenvalue = wave(grid)
    seen = blurred(jnp.asarray(field)[None], grid, jnp.asarray(1.7), pixel_average=False)[0]
    np.testing.assert_allclose(seen, np.exp(0.5 * 1.7 * eigenvalue) * field, atol=1e-13)


def test_pixels_average_what_falls_on_them():
    coarse, finer = Grid((16, 12)), 40
    x = (np.arange(16 * finer) + 0.5) / finer - 0.5  # the pixel of point 0 reaches half a pixel to either side
    y = (np.arange(12 * finer) + 0.5) / finer - 0.5
    fine = np.cos(2 * np.pi * x / 16 * 3)[:, None] * np.sin(2 * np.pi * y / 12 * 2)[None]
    points = np.cos(2 * np.pi * np.arange(16) / 16 * 3)[:, None] * np.sin(2 * np.pi * np.arange(12) / 12 * 2)[None]
    seen = blurred(jnp.asarray(points)[None], coarse, jnp.asarray(0.0), pixel_average=True)[0]
    np.testing.assert_allclose(seen, fine.reshape(16, finer, 12, finer).mean((1, 3)), atol=1e-3)
