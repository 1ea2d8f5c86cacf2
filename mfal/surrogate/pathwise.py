"""Joint samples of a process over a whole pool at a cost linear in the pool.

A sample of the prior, by random Fourier features, is moved onto the data through the cached factor:
f = h' beta + g + V' L^-1 (y - h(rows)' beta - g(rows) - noise)      (Matheron; Wilson et al. 2021, JMLR 22(105))

The update is exact. The features make the covariance of the prior's smooth part differ from the Matern-5/2 by a
standard deviation of at most 1 / sqrt(2 FREQUENCIES) = 2.2 % of its variance between two points, and by nothing on the
diagonal (Rahimi and Recht 2007; Sutherland and Schneider 2015, arXiv:1506.02785).
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from mfal.surrogate.pool import ExactProcess
from mfal.types import Array, Float, Int, PRNGKeyArray

# Each gives a sine and a cosine: 2048 features.
FREQUENCIES = 1024


def process_draws(
    process: ExactProcess,
    features: Float[Array, "n d"],
    log_lengthscale: Float[Array, " d"],
    log_amplitude: Float[Array, ""],
    log_individual: Float[Array, ""],
    count: int,
    key: PRNGKeyArray,
) -> Float[Array, "count n"]:
    """Return joint samples of a process whose kernel is `SmoothAndIndividual` with these parameters."""
    of_prior, of_data = jax.random.split(key)
    prior = prior_draws(features, log_lengthscale, log_amplitude, log_individual, count, of_prior)
    return conditioned_draws(process, prior, jnp.arange(features.shape[0]), of_data)


def drawn_coefficients(process: ExactProcess, count: int, key: PRNGKeyArray) -> Float[Array, "count q"]:
    """Return the beta of each sample that `process_draws` gives for the same key."""
    of_data = jax.random.split(key)[1]
    return _coefficients(process, count, jax.random.split(of_data)[0])


def prior_draws(
    features: Float[Array, "n d"],
    log_lengthscale: Float[Array, " d"],
    log_amplitude: Float[Array, ""],
    log_individual: Float[Array, ""],
    count: int,
    key: PRNGKeyArray,
) -> Float[Array, "count n"]:
    """Return samples of a smooth plus an individual part, without trend or data."""
    of_frequencies, of_weights, of_individual = jax.random.split(key, 3)
    phase = features @ spectral_frequencies(log_lengthscale, of_frequencies).T
    sines, cosines = jax.random.normal(of_weights, (2, count, FREQUENCIES))
    smooth = sines @ jnp.sin(phase).T + cosines @ jnp.cos(phase).T
    individual = jax.random.normal(of_individual, smooth.shape)
    return jnp.exp(log_amplitude) / jnp.sqrt(FREQUENCIES) * smooth + jnp.exp(log_individual) * individual


def conditioned_draws(
    process: ExactProcess, prior: Float[Array, "count points"], at: Int[Array, " s"], key: PRNGKeyArray
) -> Float[Array, "count s"]:
    """Return samples of a process at some points from samples of its prior without trend at all points.

    Args:
        process: belief.
        prior: samples of g.
        at: points to return.
        key: for beta, which comes from its posterior, and for the noise.
    """
    of_beta, of_noise = jax.random.split(key)
    beta = _coefficients(process, prior.shape[0], of_beta)
    noise = jnp.sqrt(_noise_variance(process)) * jax.random.normal(of_noise, (prior.shape[0], process.point.shape[0]))
    imagined = solve_triangular(process.cholesky, (prior[:, process.point] + noise).T, lower=True)
    shift = (beta - process.trend.mean) @ process.smooth_basis[at].T
    moved = process.smooth_mean[at] - shift - imagined.T @ process.factor[:, at]
    return beta @ process.trend.basis[at].T + prior[:, at] + moved


def spectral_frequencies(log_lengthscale: Float[Array, " d"], key: PRNGKeyArray) -> Float[Array, "m d"]:
    """Return draws from the spectral density of the Matern-5/2: a multivariate t with five degrees of freedom."""
    of_direction, of_scale = jax.random.split(key)
    normals = jax.random.normal(of_direction, (FREQUENCIES, log_lengthscale.shape[0]))
    squares = jax.random.normal(of_scale, (FREQUENCIES, 5)) ** 2
    return normals * jnp.sqrt(5.0 / jnp.sum(squares, axis=1, keepdims=True)) / jnp.exp(log_lengthscale)


def _coefficients(process: ExactProcess, count: int, key: PRNGKeyArray) -> Float[Array, "count q"]:
    # With the root of S outside, a coefficient that is known beforehand (variance zero) is drawn as known.
    root = jnp.sqrt(process.trend.variance)
    basis = process.whitened_basis * root
    factor = jnp.linalg.cholesky(basis.T @ basis + jnp.eye(root.shape[0]))
    normals = jax.random.normal(key, (root.shape[0], count))
    return process.coefficient_mean + root * solve_triangular(factor, normals, lower=True, trans=1).T


def _noise_variance(process: ExactProcess) -> Float[Array, " rows"]:
    """Return the noise that the factor was built with, L L' less the prior; of padded rows it does not matter."""
    total = jnp.sum(process.cholesky**2, axis=1)
    return jnp.maximum(total - process.kernel.diagonal()[process.point], 0.0)
