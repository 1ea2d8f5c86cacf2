"""What acquisitions read off the marginal beliefs: the best known answer, hits, rivals, the variance explained."""

import jax
import jax.numpy as jnp
from jax.scipy.stats import norm

from mfal.acquisition.base import Known
from mfal.surrogate.base import Posterior
from mfal.types import Array, Bool, Float, Int

# Standard deviations granted to a candidate when it is compared with its rivals.
_OPTIMISM = 2.0


def incumbent(posterior: Posterior, known: Known, target: int, sign: Float[Array, ""]) -> Float[Array, ""]:
    """Return the best answer at the target times `sign`: the lowest measured, or the lowest mean if there is none."""
    measured = jnp.min(jnp.where(known.measured, sign * known.value, jnp.inf))
    believed = jnp.min(jnp.where(known.closed, jnp.inf, sign * posterior.mean[:, target]))
    return jnp.where(known.measured.any(), measured, believed)


def surpassing(posterior: Posterior, known: Known, target: int, sign: Float[Array, ""]) -> Float[Array, " n"]:
    """Return the probability that a candidate's target value beats the incumbent; zero for those decided."""
    lead = incumbent(posterior, known, target, sign) - sign * posterior.mean[:, target]
    deviation = jnp.sqrt(posterior.variance[:, target])
    uncertain = deviation > 0.0
    probability = jnp.where(uncertain, norm.cdf(lead / jnp.where(uncertain, deviation, 1.0)), lead > 0.0)
    return jnp.where(known.decided, 0.0, probability)


def most_promising(
    posterior: Posterior, out: Bool[Array, " n"], target: int, sign: Float[Array, ""], count: int
) -> Int[Array, " s"]:
    """Return the candidates with the best upper bounds at the target, at most `count`, those that are `out` last."""
    bound = -sign * posterior.mean[:, target] + _OPTIMISM * jnp.sqrt(posterior.variance[:, target])
    return jax.lax.top_k(jnp.where(out, -jnp.inf, bound), min(count, bound.shape[0]))[1]


def explained(posterior: Posterior, target: int, noise_variance: Float[Array, " L"]) -> Float[Array, "n L"]:
    """Return the variance of each candidate's target value that one answer at each fidelity takes away."""
    return explained_share(posterior, target, noise_variance) * posterior.variance[:, target, None]


def explained_share(posterior: Posterior, target: int, noise_variance: Float[Array, " L"]) -> Float[Array, "n L"]:
    """Return the squared correlation of each candidate's noisy answers with its own target value.

    This is the share of the target's variance that the answer takes away; zero where there is none to take.
    """
    shared = posterior.own[:, target, :]
    scale = posterior.variance[:, target, None] * (posterior.variance + noise_variance)
    return jnp.where(scale > 0.0, jnp.minimum(shared**2 / jnp.where(scale > 0.0, scale, 1.0), 1.0), 0.0)
