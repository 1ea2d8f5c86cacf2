"""Samples of the posterior of the scalars through the solver, for when a Gaussian about the maximum is in doubt.

The no-U-turn sampler of NumPyro runs in coordinates in which that Gaussian is a standard one, so its mass matrix needs
no adaptation. The initial field has to be known: integrating out thousands of pixels is what `laplace` is for.
"""

from dataclasses import dataclass
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from pinn.errors import InferenceError
from pinn.phase_field.laplace import Information
from pinn.phase_field.problem import Maximum, Problem, Unknowns

WARMUP = 150
ACCEPTANCE = 0.85


@dataclass(frozen=True)
class Samples:
    """Draws from the posterior.

    Attributes:
        names: of the scalars, the noise last where it is free.
        draws: shape (draws, scalars), logarithms where the name says so.
        divergent: share of the draws whose trajectory diverged; above a few per cent they are not to be used.
    """

    names: tuple[str, ...]
    draws: np.ndarray
    divergent: float


def sample(problem: Problem, maximum: Maximum, told: Information, draws: int, key: PRNGKeyArray) -> Samples:
    """Return draws from the posterior of the free scalars, started at the maximum.

    Args:
        problem: with a known initial field.
        maximum: of its log-posterior.
        told: the information there.
        draws: how many to keep, after a warm-up.
        key: of the sampler.

    Raises:
        InferenceError: the initial field is unknown.
    """
    if problem.initial_free:
        raise InferenceError("sampling needs a known initial field: give `initial`, or use the Gaussian intervals")
    centre, spread = _vector(problem, maximum), _spread(problem, told)
    standard, diverging = _chain(problem, maximum.unknowns, centre, spread, draws, key)
    names = problem.free + ("log_noise",) * problem.noise_free
    return Samples(names, np.asarray(centre + standard @ spread.T), float(jnp.mean(diverging)))


@partial(jax.jit, static_argnums=4)
def _chain(
    problem: Problem,
    unknowns: Unknowns,
    centre: Float[Array, " p"],
    spread: Float[Array, "p p"],
    draws: int,
    key: PRNGKeyArray,
) -> tuple[Float[Array, "draws p"], Bool[Array, " draws"]]:
    """Return draws in standard coordinates, and which of them diverged; compiled once for series of one shape."""
    from numpyro.infer import NUTS

    def energy(standard: Float[Array, " p"]) -> Float[Array, ""]:
        return -problem.log_posterior(_unknowns(problem, unknowns, centre + spread @ standard))

    # Few scalars: as many tangent runs cost less than an adjoint with its recomputation.
    kernel = NUTS(
        potential_fn=energy,
        adapt_mass_matrix=False,
        target_accept_prob=ACCEPTANCE,
        forward_mode_differentiation=True,
    )
    start = kernel.init(key, WARMUP, init_params=jnp.zeros_like(centre), model_args=(), model_kwargs={})

    def draw(state, _):
        state = kernel.sample(state, (), {})
        return state, (state.z, state.diverging)

    _, (standard, diverging) = jax.lax.scan(draw, start, None, length=WARMUP + draws)
    return standard[WARMUP:], diverging[WARMUP:]


def _vector(problem: Problem, maximum: Maximum) -> Float[Array, " p"]:
    scalars = problem.vector(maximum.unknowns)
    return jnp.append(scalars, maximum.unknowns.log_noise) if problem.noise_free else scalars


def _unknowns(problem: Problem, unknowns: Unknowns, vector: Float[Array, " p"]) -> Unknowns:
    """Return unknowns with these free scalars and noise."""
    moved = problem.with_vector(unknowns, vector[: len(problem.free)])
    return eqx.tree_at(lambda tree: tree.log_noise, moved, vector[-1]) if problem.noise_free else moved


def _spread(problem: Problem, told: Information) -> Float[Array, "p p"]:
    """Return the Cholesky factor of the Gaussian's covariance; ln noise has variance 1/(2 n)."""
    covariance = np.linalg.inv(told.scalars)
    if problem.noise_free:
        size = len(covariance)
        covariance = np.block(
            [[covariance, np.zeros((size, 1))], [np.zeros((1, size)), np.full((1, 1), 0.5 / told.freedom)]]
        )
    return jnp.asarray(np.linalg.cholesky(covariance))
