"""Burgers' equation after Raissi: the exact solution by Cole and Hopf, and noisy samples of it."""

from dataclasses import dataclass

import numpy as np

SPEED = 1.0
VISCOSITY = 0.01 / np.pi
POINTS = 2000
NOISES = (0.0, 0.01, 0.05, 0.10)


@dataclass(frozen=True)
class Samples:
    """Measured velocities.

    Attributes:
        points: time in [0, 1] and place in [-1, 1], shape (n, 2).
        values: velocity with noise, shape (n,).
        noise_sd: of the noise that was added.
    """

    points: np.ndarray
    values: np.ndarray
    noise_sd: float


def samples(noise: float, seed: int, count: int = POINTS) -> Samples:
    """Return velocities at random points; `noise` is a share of the standard deviation of the velocity."""
    draw = np.random.default_rng(seed)
    points = draw.uniform([0.0, -1.0], [1.0, 1.0], size=(count, 2))
    exact = velocity(points)
    noise_sd = noise * float(exact.std())
    return Samples(points, exact + noise_sd * draw.standard_normal(count), noise_sd)


def velocity(points: np.ndarray) -> np.ndarray:
    """Return the solution that begins as -sin(pi x), by Gauss-Hermite quadrature of the Cole-Hopf integral.

    Both integrands are of one sign up to a sine, so 200 nodes leave an error near rounding for times up to 1.
    """
    nodes, weights = np.polynomial.hermite.hermgauss(200)
    time, place = points[:, :1], points[:, 1:]
    origin = place - 2.0 * np.sqrt(VISCOSITY * time) * nodes
    # The exponential spans e^-50 to e^50: relative to its largest value a row.
    exponent = -np.cos(np.pi * origin) / (2.0 * np.pi * VISCOSITY)
    heights = weights * np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return -(heights * np.sin(np.pi * origin)).sum(axis=1) / heights.sum(axis=1)
