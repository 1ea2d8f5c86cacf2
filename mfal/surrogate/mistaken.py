"""Answers that may be about something else: a sample mistaken for another gives a fine value, of the wrong material.

p(y) = (1 - q) N(y; m_i, v_i + s^2) + q N(y; m, v)      (Box and Tiao 1968, 10.1093/biomet/55.1.119)

m_i and v_i are what all other answers foretell of candidate i, m and v of a candidate picked from the pool at random.
With w the posterior probability of the first part, an answer counts with w of its precision, as a step of expectation
maximisation has it, and stands, in the share that is doubted, at what is foretold. The prediction leaves the answer
itself out: a candidate measured once would always confirm itself.

Every time it begins anew, with hyper-parameters as before any data: once they have been fitted to mistakes, the
property seems so rough that every mistake is plausible. Where it is rough, the next rounds' fits restore the trust.
"""

import jax
import jax.numpy as jnp
from jax.scipy.special import expit
from jax.scipy.stats import norm

from mfal.dataset import Dataset
from mfal.surrogate.base import AbstractBelief, AbstractSurrogate
from mfal.types import Array, Float


def settled(
    fresh: AbstractSurrogate, dataset: Dataset, share: Float[Array, " L"]
) -> tuple[AbstractSurrogate, AbstractBelief, Dataset]:
    """Return surrogate and belief when all answers have been weighed, and the answers as they count.

    Args:
        fresh: before any data.
        dataset: answers as they came.
        share: q of each fidelity.
    """

    def weigh(_: Array, weighed: tuple[AbstractSurrogate, Dataset]) -> tuple[AbstractSurrogate, Dataset]:
        surrogate, counted = weighed
        counted = doubted(surrogate.condition(counted), counted, dataset, share)
        return surrogate.fit(counted, jnp.ones(share.shape[0], bool)), counted

    # Traced: each round would be compiled anew.
    surrogate, counted = jax.lax.fori_loop(0, _ROUNDS, weigh, (fresh, dataset))
    return surrogate, surrogate.condition(counted), counted


def doubted(belief: AbstractBelief, counted: Dataset, dataset: Dataset, share: Float[Array, " L"]) -> Dataset:
    """Return the answers as they count.

    Args:
        belief: given `counted`.
        counted: the answers as they counted so far.
        dataset: the answers as they came.
        share: q of each fidelity; where it is zero nothing changes.
    """
    noise_variance, value = dataset.noise_variance, dataset.value
    mean, variance = left_out(belief, counted)
    outright, spread = jnp.mean(belief.mean, axis=0), jnp.var(belief.mean, axis=0) + jnp.mean(_marginal(belief), axis=0)
    right = norm.logpdf(value, mean, jnp.sqrt(variance + noise_variance)) + jnp.log1p(-share)
    wrong = norm.logpdf(value, outright, jnp.sqrt(spread + noise_variance)) + jnp.log(jnp.maximum(share, _TINY))
    trust = jnp.where(share > 0.0, jnp.maximum(expit(right - wrong), _LEAST), 1.0)
    trust = jnp.where(dataset.observed, trust, 1.0)
    return Dataset(dataset.status, trust * value + (1.0 - trust) * mean, noise_variance / trust)


def left_out(belief: AbstractBelief, seen: Dataset) -> tuple[Float[Array, "n L"], Float[Array, "n L"]]:
    """Return mean and variance of every candidate as foretold without the answer to that query itself.

    An answer of noise s^2 narrows 1/v by 1/s^2 (Rasmussen and Williams 2006, eq. 3.56). Exact where an answer counts
    with its own noise; recursive co-kriging widens those with a gap below.
    """
    variance = jnp.maximum(_marginal(belief), _TINY)
    noise = jnp.maximum(seen.noise_variance, _EXACT * variance)
    left = jnp.maximum(1.0 / variance - 1.0 / noise, _EXACT / variance)
    mean = (belief.mean / variance - seen.value / noise) / left
    return jnp.where(seen.observed, mean, belief.mean), jnp.where(seen.observed, 1.0 / left, variance)


def _marginal(belief: AbstractBelief) -> Float[Array, "n L"]:
    return jnp.diagonal(belief.own, axis1=1, axis2=2)


_TINY = 1e-18
_ROUNDS = 3
# Share of its precision that an answer keeps in any case, and the noise below which one counts as exact.
_LEAST, _EXACT = 1e-6, 1e-9
