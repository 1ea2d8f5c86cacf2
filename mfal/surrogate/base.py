"""The surrogate protocol: condition once, read many views."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.dataset import Dataset
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray


class Links(eqx.Module):
    """How each fidelity relates to those before it in the ladder.

    Attributes:
        level_mean: systematic offset of fidelity l from what those before it predict (of the first: its level).
        level_sd: standard deviation of it.
        slope_mean: slope of fidelity l on fidelity j, as [l, j], zero for j >= l.
        slope_sd: standard deviation of it, zero where the slope is a fitted hyper-parameter.
    """

    level_mean: Float[Array, " L"]
    level_sd: Float[Array, " L"]
    slope_mean: Float[Array, "L L"]
    slope_sd: Float[Array, "L L"]


class AbstractBelief(eqx.Module):
    """Gaussian belief about every candidate at every fidelity given the answers, free of measurement noise.

    The joint covariance is never formed over a whole pool; the methods give the parts of it that decisions need.

    Attributes:
        mean: shape (candidates, fidelities), in the property's unit.
        own: covariance between the fidelities of one candidate, unit squared.
    """

    mean: eqx.AbstractVar[Float[Array, "n L"]]
    own: eqx.AbstractVar[Float[Array, "n L L"]]

    @abstractmethod
    def combination(
        self, candidates: Int[Array, " s"], fidelity: Int[Array, ""], weights: Float[Array, " s"]
    ) -> Float[Array, "n L"]:
        """Return the covariance of a weighted sum of candidates at one fidelity with every (candidate, fidelity)."""

    @abstractmethod
    def block(self, candidates: Int[Array, " s"], fidelity: int) -> Float[Array, "s s"]:
        """Return the joint covariance of some candidates at one fidelity."""

    @abstractmethod
    def draws(self, count: int, fidelity: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return joint samples over the whole pool at one fidelity, pathwise: cost linear in the pool.

        The same key gives the same samples of the whole ladder, seen at each of its fidelities.
        """

    @abstractmethod
    def level_covariance(self) -> tuple[Float[Array, "n L L"], Float[Array, " L"]]:
        """Return the covariance of the systematic level of fidelity j with candidate i at l, as [i, l, j], and its own.

        The level of a fidelity is the unknown that shifts all its answers alike.
        """

    @abstractmethod
    def links(self) -> Links:
        """Return how the fidelities were found to relate."""


class Narrowing(eqx.Module):
    """What expected answers make of a belief; one row each (rank-1 update).

    Attributes:
        own: covariance between the fidelities of one candidate, expected answers included.
        level_cross: covariance of the level of fidelity j with candidate i at fidelity l, as [i, l, j], likewise.
        level_variance: of the level of each fidelity, likewise.
        expected: whitened covariance of each expected answer with every (candidate, fidelity).
        count: rows in use.
    """

    own: Float[Array, "n L L"]
    level_cross: Float[Array, "n L L"]
    level_variance: Float[Array, " L"]
    expected: Float[Array, "rows n L"]
    count: Int[Array, ""]


class Posterior(eqx.Module):
    """A belief, and what it becomes once the expected answers are in.

    An expected answer is believed to fall on the mean, so it narrows the belief and does not move it.

    Attributes:
        belief: given the answers in hand.
        narrowing: through the answers expected; apart, so that a loop need not carry the belief along.
    """

    belief: AbstractBelief
    narrowing: Narrowing

    @staticmethod
    def of(belief: AbstractBelief, rows: int) -> "Posterior":
        """Return a belief with room for that many expected answers."""
        blank = jnp.zeros((rows, *belief.mean.shape))
        narrowing = Narrowing(belief.own, *belief.level_covariance(), blank, jnp.zeros((), jnp.int32))
        return Posterior(belief, narrowing)

    @property
    def mean(self) -> Float[Array, "n L"]:
        """Mean of every candidate at every fidelity."""
        return self.belief.mean

    @property
    def own(self) -> Float[Array, "n L L"]:
        """Covariance between the fidelities of one candidate."""
        return self.narrowing.own

    @property
    def level_cross(self) -> Float[Array, "n L L"]:
        """Covariance of the level of fidelity j with candidate i at fidelity l, as [i, l, j]."""
        return self.narrowing.level_cross

    @property
    def level_variance(self) -> Float[Array, " L"]:
        """Variance of the level of each fidelity."""
        return self.narrowing.level_variance

    @property
    def variance(self) -> Float[Array, "n L"]:
        """Marginal variances."""
        return jnp.clip(jnp.diagonal(self.own, axis1=1, axis2=2), 0.0)

    def expect(
        self,
        candidate: Int[Array, ""],
        fidelity: Int[Array, ""],
        noise_variance: Float[Array, ""],
        use: Bool[Array, ""] | bool = True,
    ) -> "Posterior":
        """Return the posterior with one more expected answer; nothing changes unless `use`, nor without a free row."""
        was, column = self.narrowing, self.column(candidate, fidelity)
        spread = column[candidate, fidelity]
        useful = (spread > 0.0) & (was.count < was.expected.shape[0]) & use
        scale = jnp.where(useful, 1.0 / jnp.sqrt(jnp.where(useful, (1.0 + 1e-9) * spread + noise_variance, 1.0)), 0.0)
        row, level = scale * column, scale * was.level_cross[candidate, fidelity]
        narrowing = Narrowing(
            own=was.own - row[:, :, None] * row[:, None, :],
            level_cross=was.level_cross - row[:, :, None] * level,
            level_variance=was.level_variance - level**2,
            expected=was.expected.at[was.count].set(row, mode="drop"),
            count=was.count + jnp.asarray(use, was.count.dtype),
        )
        return Posterior(self.belief, narrowing)

    def column(self, candidate: Int[Array, ""], fidelity: Int[Array, ""]) -> Float[Array, "n L"]:
        """Return the covariance of one (candidate, fidelity) with every other."""
        return self.combination(candidate[None], fidelity, jnp.ones(1))

    def combination(
        self, candidates: Int[Array, " s"], fidelity: Int[Array, ""], weights: Float[Array, " s"]
    ) -> Float[Array, "n L"]:
        """Return the covariance of a weighted sum of candidates at one fidelity with every (candidate, fidelity)."""
        known = self.narrowing.expected[:, candidates, fidelity] @ weights
        return self.belief.combination(candidates, fidelity, weights) - jnp.tensordot(known, self.narrowing.expected, 1)

    def block(self, candidates: Int[Array, " s"], fidelity: int) -> Float[Array, "s s"]:
        """Return the joint covariance of some candidates at one fidelity."""
        known = self.narrowing.expected[:, candidates, fidelity]
        return self.belief.block(candidates, fidelity) - known.T @ known

    def block_draws(
        self, candidates: Int[Array, " s"], fidelity: int, count: int, key: PRNGKeyArray
    ) -> Float[Array, "count s"]:
        """Return exact joint samples of some candidates at one fidelity; cost cubic in their number."""
        covariance = self.block(candidates, fidelity)
        jitter = 1e-9 * jnp.mean(jnp.abs(jnp.diagonal(covariance))) + 1e-14
        factor = jnp.linalg.cholesky(covariance + jitter * jnp.eye(covariance.shape[0]))
        normals = jax.random.normal(key, (count, covariance.shape[0]), dtype=covariance.dtype)
        return self.mean[candidates, fidelity] + normals @ factor.T


class AbstractSurrogate(eqx.Module):
    """Turns a dataset into a belief about the pool."""

    @abstractmethod
    def condition(self, dataset: Dataset) -> AbstractBelief:
        """Return the belief given the observed answers."""

    @abstractmethod
    def extend(self, belief: AbstractBelief, dataset: Dataset, fresh: Bool[Array, "n L"]) -> AbstractBelief:
        """Return `belief` with the `fresh` answers of `dataset` added: what `condition` gives, for less."""

    @abstractmethod
    def fit(self, dataset: Dataset, grown: Bool[Array, " L"]) -> Self:
        """Return the surrogate with hyper-parameters fitted to the observed answers.

        Args:
            dataset: all answers.
            grown: fidelities with many new answers since the last fit; what the others taught may be kept.
        """

    @abstractmethod
    def with_room(self, answers: Sequence[int]) -> Self:
        """Return the surrogate with room for so many answers at each fidelity.

        Static: a changed shape makes traced code compile once more, so room grows by doubling.
        """

    @abstractmethod
    def sized(self, answers: Sequence[int]) -> Self:
        """Return the surrogate with room for exactly so many answers at each fidelity, where it is known how many come.

        Room that is never used is read all the same.
        """
