"""The surrogate protocol: condition once, read many views."""

from abc import abstractmethod
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.dataset import Dataset
from mfal.types import Array, Float, PRNGKeyArray


class Posterior(eqx.Module):
    """Joint Gaussian over every candidate and fidelity of a pool, free of measurement noise.

    Attributes:
        mean: shape (candidates, fidelities), in the property's unit.
        covariance: over the flattened (candidates, fidelities), row-major, unit squared.
        offset_mean: learnt systematic offset of each fidelity from the one before it.
        offset_covariance: of these offsets.
    """

    mean: Float[Array, "n L"]
    covariance: Float[Array, "nL nL"]
    offset_mean: Float[Array, " L"]
    offset_covariance: Float[Array, "L L"]

    @property
    def variance(self) -> Float[Array, "n L"]:
        """Marginal variances."""
        return jnp.clip(jnp.diagonal(self.covariance), 0.0).reshape(self.mean.shape)

    @property
    def offset_sd(self) -> Float[Array, " L"]:
        """Standard deviations of the offsets."""
        return jnp.sqrt(jnp.clip(jnp.diagonal(self.offset_covariance), 0.0))

    def sample(self, count: int, key: PRNGKeyArray) -> Float[Array, "count n L"]:
        """Draw `count` joint samples."""
        size = self.covariance.shape[0]
        jitter = 1e-10 * jnp.trace(self.covariance) / size + 1e-14
        factor = jnp.linalg.cholesky(self.covariance + jitter * jnp.eye(size))
        normals = jax.random.normal(key, (count, size), dtype=self.covariance.dtype)
        return self.mean + (normals @ factor.T).reshape(count, *self.mean.shape)


class AbstractSurrogate(eqx.Module):
    """Turns a dataset into a posterior over the pool."""

    @abstractmethod
    def condition(self, dataset: Dataset) -> Posterior:
        """Return the posterior given the observed rows, its spread also given that pending rows will be answered."""

    @abstractmethod
    def fit(self, dataset: Dataset) -> Self:
        """Return the surrogate with hyper-parameters fitted to the observed rows."""
