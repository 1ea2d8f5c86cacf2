"""What the surrogates are compared with and how: descriptors, a process, views of a belief, tolerances."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.surrogate.base import Posterior
from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pool import Trend

# Descriptors of a candidate; fidelities, and what is typical of their answers.
D, L = 2, 3
TYPICAL, SPREAD = jnp.array([-0.4, 0.1, 2.0]), jnp.array([0.5, 0.8, 0.4])
# Length scales and standard deviations of one process.
ELL, SD, INDIVIDUAL = np.array([1.2, 0.7]), 0.8, 0.3
# What a process adds to the diagonal, relative to the prior variance of the row without its trend.
NUGGET = 1e-9
CHOSEN, WEIGHTS = np.array([5, 0, 7]), np.array([0.3, -1.0, 2.0])


def features(n, seed=0):
    """Return the descriptors of `n` candidates."""
    return np.random.default_rng(seed).normal(size=(n, D))


def kernel(x, individual=INDIVIDUAL):
    """Return the kernel of the one process."""
    stored = map(jnp.log, (jnp.asarray(ELL), jnp.asarray(SD), jnp.asarray(individual)))
    return SmoothAndIndividual(jnp.asarray(x), *stored)


def trend(x, variance=(0.5, 0.2)):
    """Return a constant and a slope on the first descriptor."""
    basis = jnp.asarray(np.column_stack([np.ones(len(x)), x[:, 0]]))
    return Trend(basis, jnp.array([0.4, -0.2]), jnp.asarray(variance))


def matern(left, right, lengthscale):
    """Rasmussen and Williams 2006, eq. 4.17, unit variance."""
    r = np.sqrt((((left[:, None] - right[None]) / lengthscale) ** 2).sum(-1))
    return (1 + np.sqrt(5) * r + 5 * r**2 / 3) * np.exp(-np.sqrt(5) * r)


def smooth(left, right):
    """Return the covariance of the smooth part of `kernel`."""
    return SD**2 * matern(left, right, ELL)


compiled = {"condition": 0, "extend": 0, "fit": 0}


def counted(name):
    """Compile a method, counting how often."""

    def method(model, *arguments):
        compiled[name] += 1
        return getattr(model, name)(*arguments)

    return eqx.filter_jit(method)


condition, extend, fit = counted("condition"), counted("extend"), counted("fit")
expect = eqx.filter_jit(Posterior.expect)


@eqx.filter_jit
def views(belief):
    """Return blocks and weighted sums of the chosen candidates at each fidelity, levels and links."""
    chosen, weights, levels = jnp.asarray(CHOSEN), jnp.asarray(WEIGHTS), range(belief.mean.shape[1])
    blocks = [belief.block(chosen, fidelity) for fidelity in levels]
    combinations = [belief.combination(chosen, jnp.asarray(fidelity), weights) for fidelity in levels]
    return blocks, combinations, belief.level_covariance(), belief.links()


def close(ours, theirs, tolerance=1e-8):
    """Require numbers to be equal to an absolute tolerance."""
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=0, atol=tolerance)


def process_agrees(process, mean, covariance, tolerance=1e-8):
    """Require every view of a process to be that of the joint normal over all points and coefficients."""
    n = len(process.mean)
    close(process.mean, mean[:n], tolerance)
    close(process.variance, np.diag(covariance)[:n], tolerance)
    close(process.coefficient_mean, mean[n:], tolerance)
    close(process.coefficient_covariance, covariance[n:, n:], tolerance)
    close(process.coefficient_cross(), covariance[:n, n:], tolerance)
    chosen, weights = np.array([3, 11, 4, 3]), np.array([0.5, -1.0, 2.0, 0.25])
    close(process.block(jnp.asarray(chosen)), covariance[np.ix_(chosen, chosen)], tolerance)
    close(process.combination(jnp.asarray(chosen), jnp.asarray(weights)), weights @ covariance[chosen, :n], tolerance)


def all_finite(tree):
    """Return whether every number of a tree is finite."""
    return all(
        np.isfinite(x).all() for x in jax.tree.leaves(tree) if jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating)
    )
