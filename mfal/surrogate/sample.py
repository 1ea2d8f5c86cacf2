"""Draws of hyper-parameters from their posterior, and predictions averaged over them."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.dataset import Dataset
from mfal.surrogate.base import AbstractSurrogate
from mfal.types import Array, Float, Int, PRNGKeyArray


class Sampled(eqx.Module):
    """Draws from a density and how far to trust them.

    Attributes:
        draws: of all chains, one after the other.
        r_hat: split-chain potential scale reduction of each parameter; above 1.01 the chains have not mixed.
        divergences: transitions that left the typical set; more than a few and the draws miss a part of it.
    """

    draws: Float[Array, "draws p"]
    r_hat: Float[Array, " p"]
    divergences: Int[Array, ""]


def sample_parameters(
    negative_log_density: Callable[[Float[Array, " p"]], Float[Array, ""]],
    starts: Float[Array, "chains p"],
    count: int,
    warmup: int,
    key: PRNGKeyArray,
) -> Sampled:
    """Return `count` draws a chain by the No-U-Turn sampler (Hoffman and Gelman 2014, JMLR 15(47)); for the host.

    Args:
        negative_log_density: up to a constant, on an unconstrained vector, such as a surrogate's `loss`.
        starts: one a chain, more widely spread than the posterior if `r_hat` is to mean anything.
        count: draws a chain.
        warmup: steps a chain that adapt step size and mass, and are dropped.
        key: for the chains.
    """
    from numpyro.diagnostics import split_gelman_rubin
    from numpyro.infer import MCMC, NUTS

    kernel = NUTS(potential_fn=negative_log_density, dense_mass=True)
    chains = starts.shape[0]
    run = MCMC(
        kernel, num_warmup=warmup, num_samples=count, num_chains=chains, chain_method="vectorized", progress_bar=False
    )
    # numpyro takes a single chain without its axis.
    run.run(key, init_params=starts if chains > 1 else starts[0], extra_fields=("diverging",))
    draws = np.asarray(run.get_samples(group_by_chain=True))
    divergences = jnp.sum(run.get_extra_fields()["diverging"])
    r_hat = jnp.asarray(split_gelman_rubin(draws))
    return Sampled(jnp.asarray(draws.reshape(-1, starts.shape[1])), r_hat, divergences)


def predict_mixture(
    surrogate: Callable[[Float[Array, " p"]], AbstractSurrogate], draws: Float[Array, "draws p"], dataset: Dataset
) -> tuple[Float[Array, "n L"], Float[Array, "n L"]]:
    """Return mean and variance of every candidate at every fidelity, averaged over draws of the parameters.

    The variance is the average within a draw plus the spread of the means (law of total variance).

    Args:
        surrogate: gives the surrogate with such parameters.
        draws: vectors of parameters.
        dataset: answers.
    """

    def predicted(draw: Array) -> tuple[Array, Array]:
        belief = surrogate(draw).condition(dataset)
        return belief.mean, jnp.diagonal(belief.own, axis1=1, axis2=2)

    # One after the other: a belief holds rows x points numbers.
    mean, variance = jax.lax.map(predicted, draws)
    return jnp.mean(mean, axis=0), jnp.mean(variance, axis=0) + jnp.var(mean, axis=0)
