"""What recursive co-kriging believes: one process a fidelity, mixed by the slopes on those before it."""

from collections.abc import Iterable

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.dataset import Dataset
from mfal.surrogate.base import AbstractBelief, Links
from mfal.surrogate.inducing import InducingProcess
from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pathwise import drawn_coefficients, process_draws
from mfal.surrogate.pool import AbstractProcess, ExactProcess
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray


class RecursiveBelief(AbstractBelief):
    """Belief of `RecursiveGP`: independent processes, mixed by the slopes.

    An answer with a gap below says nothing of the fidelities below, but what it says of its own stands: there the
    deviation from the mean shrinks to `kept` times itself plus a part of its own.

    Attributes:
        levels: one process a fidelity, its basis holding the means below.
        mean: of every candidate at every fidelity.
        own: covariance between the fidelities of one candidate.
        mixing: weight of process j in the covariance of fidelities l and m, as [l, m, j].
        kept: one but where an answer has a gap below.
        rest: variance that comes on top, zero but there.
    """

    levels: tuple[AbstractProcess, ...]
    mean: Float[Array, "n L"]
    own: Float[Array, "n L L"]
    mixing: Float[Array, "L L L"]
    kept: Float[Array, "n L"]
    rest: Float[Array, "n L"]

    def combination(
        self, candidates: Int[Array, " s"], fidelity: Int[Array, ""], weights: Float[Array, " s"]
    ) -> Float[Array, "n L"]:
        """Return the covariance of a weighted sum of candidates at one fidelity with every (candidate, fidelity)."""
        kept = weights * self.kept[candidates, fidelity]
        parts = jnp.stack([process.combination(candidates, kept) for process in self.levels])
        shared = jnp.einsum("lj,jn->nl", self.mixing[:, fidelity], parts) * self.kept
        return shared.at[candidates, fidelity].add(weights * self.rest[candidates, fidelity])

    def block(self, candidates: Int[Array, " s"], fidelity: int) -> Float[Array, "s s"]:
        """Return the joint covariance of some candidates at one fidelity."""
        blocks = jnp.stack([process.block(candidates) for process in self.levels[: fidelity + 1]])
        shared = jnp.tensordot(self.mixing[fidelity, fidelity, : fidelity + 1], blocks, 1)
        kept, same = self.kept[candidates, fidelity], candidates[:, None] == candidates
        return kept[:, None] * shared * kept + jnp.where(same, self.rest[candidates, fidelity], 0.0)

    def draws(self, count: int, fidelity: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return joint samples over the pool, each with slopes of its own on the answers still missing."""
        samples: list[Array] = []
        for level, process in enumerate(self.levels[: fidelity + 1]):
            sample, slopes = _process_draws(process, count, jax.random.fold_in(key, level))
            missing = [slopes[:, j : j + 1] * (samples[j] - self.levels[j].mean) for j in range(level)]
            samples.append(sample + sum(missing, jnp.zeros(())))
        deviation, own = (
            samples[fidelity] - self.levels[fidelity].mean,
            jax.random.fold_in(key, len(self.levels) + fidelity),
        )
        rest = jnp.sqrt(self.rest[:, fidelity]) * jax.random.normal(own, deviation.shape)
        return self.mean[:, fidelity] + self.kept[:, fidelity] * deviation + rest

    def level_covariance(self) -> tuple[Float[Array, "n L L"], Float[Array, " L"]]:
        """Return covariances of the systematic levels with the candidates, and the levels' variances."""
        paths = jnp.linalg.inv(jnp.eye(len(self.levels)) - self.links().slope_mean)
        cross = jnp.stack([process.coefficient_cross()[:, 0] for process in self.levels])
        variance = jnp.stack([process.coefficient_covariance[0, 0] for process in self.levels])
        return self.kept[:, :, None] * jnp.einsum("li,ji,in->nlj", paths, paths, cross), paths**2 @ variance

    def links(self) -> Links:
        """Return offsets and slopes with their uncertainties."""
        size = len(self.levels)
        mean, sd = jnp.zeros((size, size)), jnp.zeros((size, size))
        for level, process in enumerate(self.levels):
            mean = mean.at[level, :level].set(process.coefficient_mean[1:])
            variance = jnp.diagonal(process.coefficient_covariance)
            sd = sd.at[level, :level].set(jnp.sqrt(jnp.clip(variance[1:], 0.0)))
        levels = jnp.stack([process.coefficient_mean[0] for process in self.levels])
        variance = jnp.stack([process.coefficient_covariance[0, 0] for process in self.levels])
        return Links(levels, jnp.sqrt(jnp.clip(variance, 0.0)), mean, sd)


class Ascent(eqx.Module):
    """What is believed of the first fidelities, one after the other: all that the next one builds on.

    Kept by columns over the pool, one array a fidelity or a pair of them: sums over a short last axis are slow.

    Attributes:
        levels: processes so far.
        mean: of each fidelity.
        shared: covariance that the processes give to each pair, the later fidelity first.
        kept: see `RecursiveBelief`.
        rest: likewise.
        nested: candidates whose answers so far are all exact and in hand.
    """

    levels: tuple[AbstractProcess, ...]
    mean: tuple[Float[Array, " n"], ...]
    shared: tuple[tuple[Float[Array, " n"], ...], ...]
    kept: tuple[Float[Array, " n"], ...]
    rest: tuple[Float[Array, " n"], ...]
    nested: Bool[Array, " n"]

    @staticmethod
    def start(candidates: int) -> "Ascent":
        """Return the ascent before the first fidelity."""
        return Ascent((), (), (), (), (), jnp.ones(candidates, bool))

    @property
    def level(self) -> int:
        """Index of the fidelity that comes next."""
        return len(self.levels)

    @property
    def means(self) -> Float[Array, "n j"]:
        """Means so far."""
        return jnp.stack(self.mean, axis=1) if self.mean else jnp.zeros((self.nested.shape[0], 0))

    @property
    def own(self) -> Float[Array, "n j j"]:
        """Covariance between the fidelities so far of one candidate."""
        size = range(len(self.levels))
        rows = [jnp.stack([self._own(a, b) for b in size], axis=1) for a in size]
        return jnp.stack(rows, axis=1) if rows else jnp.zeros((self.nested.shape[0], 0, 0))

    def up(self, process: AbstractProcess, dataset: Dataset) -> "Ascent":
        """Return the ascent with the process of the next fidelity, given the answers that it was conditioned on."""
        level = self.level
        slopes, second, lower = process.coefficient_mean[1:], _second(process), range(level)
        cross = [_sum(slopes[a] * self._shared(a, b) for a in lower) for b in lower]
        spread = process.variance + _sum(second[a, b] * self._shared(a, b) for a in lower for b in lower)
        unknown = _sum(second[a, b] * self._own(a, b) for a in lower for b in lower)
        observed, noise = dataset.observed[:, level], dataset.noise_variance[:, level]
        use = observed & ~self.nested & (unknown > 0.0)
        # Of y - E[p] the process p left unexplained, noise and gap have their shares.
        share = jnp.where(use, noise / (noise + jnp.where(use, unknown, 1.0)), 1.0)
        mean = jnp.where(use, share * process.mean + (1.0 - share) * dataset.value[:, level], process.mean)
        return Ascent(
            levels=(*self.levels, process),
            mean=(*self.mean, mean),
            shared=(*self.shared, (*cross, spread)),
            kept=(*self.kept, share),
            rest=(*self.rest, share * (1.0 - share) * unknown),
            nested=self.nested & observed & (noise == 0.0),
        )

    def belief(self) -> RecursiveBelief:
        """Return the belief that the processes amount to."""
        return RecursiveBelief(
            levels=self.levels,
            mean=self.means,
            own=self.own,
            mixing=_mixing(self.levels),
            kept=jnp.stack(self.kept, axis=1),
            rest=jnp.stack(self.rest, axis=1),
        )

    def _shared(self, first: int, second: int) -> Float[Array, " n"]:
        return self.shared[max(first, second)][min(first, second)]

    def _own(self, first: int, second: int) -> Float[Array, " n"]:
        own = self._shared(first, second) * self.kept[first] * self.kept[second]
        return own + self.rest[first] if first == second else own


def gaps(dataset: Dataset) -> Bool[Array, "n L"]:
    """Return the answers below which not all answers are exact and in hand."""
    exact = dataset.observed & (dataset.noise_variance == 0.0)
    below = jnp.cumprod(jnp.pad(exact, ((0, 0), (1, 0)), constant_values=True)[:, :-1], axis=1)
    return dataset.observed & (below == 0)


def _sum(terms: Iterable[Array]) -> Array:
    return sum(terms, jnp.zeros(()))


def _second(process: AbstractProcess) -> Float[Array, "j j"]:
    """Return the expected products of the slopes."""
    slopes = process.coefficient_mean[1:]
    return jnp.outer(slopes, slopes) + process.coefficient_covariance[1:, 1:]


def _mixing(levels: tuple[AbstractProcess, ...]) -> Float[Array, "L L L"]:
    """Return how the processes add up in the covariance of two fidelities of one candidate, slopes integrated out."""
    size = len(levels)
    mixing = jnp.zeros((size, size, size))
    for level, process in enumerate(levels):
        slopes = process.coefficient_mean[1:]
        own = jnp.einsum("ab,abj->j", _second(process), mixing[:level, :level]).at[level].add(1.0)
        cross = jnp.einsum("a,amj->mj", slopes, mixing[:level, :level])
        mixing = mixing.at[level, level].set(own)
        mixing = mixing.at[level, :level].set(cross).at[:level, level].set(cross)
    return mixing


def _process_draws(
    process: AbstractProcess, count: int, key: PRNGKeyArray
) -> tuple[Float[Array, "count n"], Float[Array, "count j"]]:
    """Return samples of a process and the slopes that belong to each; with inducing points those are at their mean."""
    if isinstance(process, InducingProcess):
        slopes = process.coefficient_mean[1:]
        return process.draws(count, key), jnp.broadcast_to(slopes, (count, slopes.shape[0]))
    assert isinstance(process, ExactProcess) and isinstance(process.kernel, SmoothAndIndividual)
    kernel = process.kernel
    scales = (kernel.log_lengthscale, kernel.log_amplitude, kernel.log_individual)
    samples = process_draws(process, kernel.features, *scales, count, key)
    return samples, drawn_coefficients(process, count, key)[:, 1:]
