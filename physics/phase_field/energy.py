"""Free energy of a two-phase field, and what it says of the interface.

F = int [ W g(phi) + kappa/2 |grad phi|^2 - dG h(phi) ],  g = phi^2 (1-phi)^2,  h = phi^3 (10 - 15 phi + 6 phi^2)
(Wang et al. 1993, 10.1016/0167-2789(93)90189-8). Without a drive the flat interface is (1 - tanh(x/l))/2 with
l = sqrt(2 kappa/W) and the energy sigma = sqrt(kappa W/18); both follow from kappa phi'^2/2 = W g.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from physics.phase_field.grid import Grid


def well(phi: Float[Array, "*pixels"]) -> Float[Array, "*pixels"]:
    """Return the double well g."""
    return (phi * (1.0 - phi)) ** 2


def well_slope(phi: Float[Array, "*pixels"]) -> Float[Array, "*pixels"]:
    """Return g'."""
    return 2.0 * phi * (1.0 - phi) * (1.0 - 2.0 * phi)


def interpolation(phi: Float[Array, "*pixels"]) -> Float[Array, "*pixels"]:
    """Return the share h of the phase phi = 1: 0 and 1 at the wells, and flat there."""
    return phi**3 * (10.0 + phi * (6.0 * phi - 15.0))


def interpolation_slope(phi: Float[Array, "*pixels"]) -> Float[Array, "*pixels"]:
    """Return h'."""
    return 30.0 * (phi * (1.0 - phi)) ** 2


def interface_width(kappa: Float[Array, ""] | float, height: Float[Array, ""] | float) -> Float[Array, ""]:
    """Return l = sqrt(2 kappa/W), in the unit of length of kappa/W."""
    return jnp.sqrt(2.0 * jnp.asarray(kappa) / height)


def interface_energy(kappa: Float[Array, ""] | float, height: Float[Array, ""] | float) -> Float[Array, ""]:
    """Return sigma = sqrt(kappa W/18), energy per area."""
    return jnp.sqrt(jnp.asarray(kappa) * height / 18.0)


def profile(distance: Float[Array, "*pixels"], width: Float[Array, ""] | float) -> Float[Array, "*pixels"]:
    """Return the flat interface in equilibrium, 1 where the signed distance is far below zero."""
    return 0.5 * (1.0 - jnp.tanh(distance / width))


def free_energy(
    phi: Float[Array, "*pixels"],
    grid: Grid,
    kappa: Float[Array, ""] | float,
    height: Float[Array, ""] | float,
    drive: Float[Array, ""] | float = 0.0,
) -> Float[Array, ""]:
    """Return F of a field; the gradient is the spectral one, -kappa/2 phi lap(phi) under either boundary."""
    laplacian = grid.inverse(grid.eigenvalues() * grid.transform(phi))
    density = height * well(phi) - 0.5 * kappa * phi * laplacian - drive * interpolation(phi)
    return jnp.sum(density) * grid.spacing ** len(grid.shape)
