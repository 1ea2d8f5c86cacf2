"""Recursive surrogates of twenty candidates with hyper-parameters at random, and answers for them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.dataset import EMPTY, FAILED, OBSERVED, Dataset
from mfal.surrogate.recursive import recursive_surrogate
from tests.mfal.surrogate.comparing import SPREAD, TYPICAL, L, features

N = 20


def surrogate(seed=0, levels=L, nonlinear=False):
    """Return a surrogate with random hyper-parameters."""
    model = recursive_surrogate(jnp.asarray(features(N)), TYPICAL[:levels], SPREAD[:levels], nonlinear)
    rng = np.random.default_rng(seed)
    drawn = jax.tree.map(lambda m, s: m + 0.5 * s * rng.normal(size=m.shape), model.prior.mean, model.prior.sd)
    return eqx.tree_at(lambda m: m.parameters, model, drawn)


def tables(observed, value, noise=0.0, failed=False):
    """Return the dataset of the answers marked in `observed`, and of failed queries."""
    observed = np.asarray(observed, bool)
    status = np.where(observed, OBSERVED, np.where(failed, FAILED, EMPTY)).astype(np.int8)
    noise = np.where(observed, noise, 0.0)
    return Dataset(*map(jnp.asarray, (status, np.where(observed, value, 0.0), noise)))


def nested(seed=1, counts=(10, 7, 4), noise=0.0):
    """Return a mask in which each fidelity was asked only where those before it have answered, values and noise."""
    rng = np.random.default_rng(seed)
    order, levels = rng.permutation(N), len(counts)
    observed = np.zeros((N, levels), bool)
    for level, count in enumerate(counts):
        observed[order[:count], level] = True
    value = np.asarray(TYPICAL)[:levels] + np.asarray(SPREAD)[:levels] * rng.normal(size=(N, levels))
    variance = np.zeros((N, levels))
    variance[:, -1] = noise * rng.uniform(0.5, 2.0, N)
    return observed, value, variance
