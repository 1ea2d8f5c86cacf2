"""What recursive co-kriging believes: one process a fidelity, mixed by the slopes on those before it."""

import jax
import jax.numpy as jnp

from mfal.dataset import Dataset
from mfal.surrogate.base import AbstractBelief, Links
from mfal.surrogate.inducing import InducingProcess
from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pathwise import process_draws
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

    @staticmethod
    def of(levels: tuple[AbstractProcess, ...], dataset: Dataset) -> "RecursiveBelief":
        """Return the belief that the processes amount to, given the answers that they were conditioned on."""
        mixing, exposed = _mixing(levels), gaps(dataset)
        own = jnp.einsum("lmj,jn->nlm", mixing, jnp.stack([process.variance for process in levels]))
        mean = jnp.stack([process.mean for process in levels], axis=1)
        kept, rest = jnp.ones_like(mean), jnp.zeros_like(mean)
        for level, process in enumerate(levels):
            unknown = jnp.einsum("ab,nab->n", _second(process), own[:, :level, :level])
            use, noise = exposed[:, level] & (unknown > 0.0), dataset.noise_variance[:, level]
            # Of y - E[p] the process p left unexplained, noise and gap have their shares.
            share = jnp.where(use, noise / (noise + jnp.where(use, unknown, 1.0)), 1.0)
            answered = share * mean[:, level] + (1.0 - share) * dataset.value[:, level]
            mean = mean.at[:, level].set(jnp.where(use, answered, mean[:, level]))
            kept = kept.at[:, level].set(share)
            rest = rest.at[:, level].set(share * (1.0 - share) * unknown)
            own = own.at[:, level].multiply(share[:, None]).at[:, :, level].multiply(share[:, None])
            own = own.at[:, level, level].add(rest[:, level])
        return RecursiveBelief(levels=levels, mean=mean, own=own, mixing=mixing, kept=kept, rest=rest)

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
        """Return joint samples over the pool; slopes on answers still missing are held at their mean."""
        samples: list[Array] = []
        for level, process in enumerate(self.levels[: fidelity + 1]):
            sample = _process_draws(process, count, jax.random.fold_in(key, level))
            slopes = process.coefficient_mean[1:]
            missing = [slopes[j] * (samples[j] - self.levels[j].mean) for j in range(level)]
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


def gaps(dataset: Dataset) -> Bool[Array, "n L"]:
    """Return the answers below which not all answers are exact and in hand."""
    exact = dataset.observed & (dataset.noise_variance == 0.0)
    below = jnp.cumprod(jnp.pad(exact, ((0, 0), (1, 0)), constant_values=True)[:, :-1], axis=1)
    return dataset.observed & (below == 0)


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


def _process_draws(process: AbstractProcess, count: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
    if isinstance(process, InducingProcess):
        return process.draws(count, key)
    assert isinstance(process, ExactProcess) and isinstance(process.kernel, SmoothAndIndividual)
    kernel = process.kernel
    scales = (kernel.log_lengthscale, kernel.log_amplitude, kernel.log_individual)
    return process_draws(process, kernel.features, *scales, count, key)
