"""The initial field in the modes of the grid, as if each only diffused: a rough picture, but not for fine modes.

Fine modes diffuse before anything else happens to them, and a point-spread function hides them first: whatever the
field, they are waves on the grid, and what the frames tell of each follows without a single run of the solver.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from pinn.phase_field.problem import Problem, Unknowns


def mode_weights(problem: Problem, unknowns: Unknowns) -> Float[Array, "*modes"]:
    """Return the information that all frames hold about each mode, in the order of the grid's transform."""
    eigenvalues = problem.grid.eigenvalues()
    fading = problem.equation(unknowns).linear(eigenvalues)
    left = jnp.exp(2 * jnp.tensordot(jnp.asarray(problem.times), fading, 0)).sum(axis=0)
    # A pixel's area blurs by its variance, 1/12 along each axis.
    blur_variance = problem.blurs * unknowns.blur_variance + problem.pixel_average / 12.0
    left = left * jnp.exp(blur_variance * eigenvalues)
    return left * (unknowns.gain * jnp.exp(-unknowns.log_noise)) ** 2
