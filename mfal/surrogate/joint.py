"""Coregionalised Gaussian process for sources whose answers are scattered, unordered and at different candidates.

f_l(x) = o_l + sum_q A_lq g_q(x),  A = (I - S)^-1     (Alvarez, Rosasco and Lawrence 2012, 10.1561/2200000036, sec. 4)

S_lj is the slope of fidelity l on fidelity j < l; A is then unit lower triangular, and the covariance positive definite
whatever the slopes and their signs. g_q is smooth in the descriptors plus a part of its own for every candidate; o_l,
the level of a source, is integrated out exactly. Three structures, told apart by the shape of the stored parameters:

- icm: all g_q share one kernel up to its size (intrinsic coregionalisation, B = A diag(a^2) A');
- lmc: each g_q has its own (linear model of coregionalisation);
- autoregressive: as lmc, with slopes on the fidelity just before alone (Kennedy and O'Hagan, 10.1093/biomet/87.1.1).
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal, Self

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from mfal.batching import for_all
from mfal.dataset import Dataset
from mfal.surrogate.base import AbstractBelief, AbstractSurrogate, Links
from mfal.surrogate.coregionalised import Coregionalised
from mfal.surrogate.fit import TOLERANCE, minimise
from mfal.surrogate.pathwise import conditioned_draws, prior_draws
from mfal.surrogate.pool import ExactProcess, Rows, Trend, condition, gather, negative_log_evidence, room_for
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray

Structure = Literal["icm", "lmc", "autoregressive"]

FIT_ROWS = 512


class Parameters(eqx.Module):
    """Hyper-parameters as stored; read only in `slopes` and `_kernel`.

    Attributes:
        log_lengthscale: one a latent process and descriptor; a single row where all share it.
        log_amplitude: standard deviation of the smooth part of each latent process, in the unit of its fidelity.
        log_ratio: standard deviation of the individual part over that of the smooth one; single where shared.
        slope: the entries of S, row by row: L - 1 of them next to the diagonal, or the L (L - 1) / 2 below it.
    """

    log_lengthscale: Float[Array, "K d"]
    log_amplitude: Float[Array, " L"]
    log_ratio: Float[Array, " K"]
    slope: Float[Array, " s"]


class JointPrior(eqx.Module):
    """What is believed before any data.

    Attributes:
        mean: centre of the independent normals on the stored parameters.
        sd: their standard deviations.
        level_mean: centre of o_l, in the property's unit.
        level_sd: standard deviation of it.
    """

    mean: Parameters
    sd: Parameters
    level_mean: Float[Array, " L"]
    level_sd: Float[Array, " L"]


class JointBelief(AbstractBelief):
    """Exact belief of the joint process; its coefficients are the levels.

    Attributes:
        mean: of every candidate at every fidelity.
        own: covariance between the fidelities of one candidate.
        slope: S.
        kernel: prior covariance.
        process: belief about all points i L + l.
    """

    mean: Float[Array, "n L"]
    own: Float[Array, "n L L"]
    slope: Float[Array, "L L"]
    kernel: Coregionalised
    process: ExactProcess

    @staticmethod
    def of(slope: Float[Array, "L L"], kernel: Coregionalised, process: ExactProcess) -> "JointBelief":
        """Return the belief with the parts that decisions always read."""
        shape = (kernel.features.shape[0], slope.shape[0])
        return JointBelief(process.mean.reshape(shape), _own(kernel, process), slope, kernel, process)

    def combination(
        self, candidates: Int[Array, " s"], fidelity: Int[Array, ""], weights: Float[Array, " s"]
    ) -> Float[Array, "n L"]:
        """Return the covariance of a weighted sum of candidates at one fidelity with every (candidate, fidelity)."""
        points = candidates * self.mean.shape[1] + fidelity
        return self.process.combination(points, weights).reshape(self.mean.shape)

    def block(self, candidates: Int[Array, " s"], fidelity: int) -> Float[Array, "s s"]:
        """Return the joint covariance of some candidates at one fidelity."""
        return self.process.block(candidates * self.mean.shape[1] + fidelity)

    def draws(self, count: int, fidelity: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return joint samples over the whole pool at one fidelity, pathwise."""
        of_latents, of_data = jax.random.split(key)
        keys, kernel = jax.random.split(of_latents, self.mean.shape[1]), self.kernel
        latents = jax.lax.map(
            lambda latent: prior_draws(kernel.features, latent[0], latent[1], latent[2], count, latent[3]),
            (kernel.log_lengthscale, kernel.log_amplitude, kernel.log_individual, keys),
        )
        prior = jnp.einsum("lq,qcn->cnl", kernel.mixing, latents).reshape(count, -1)
        points = jnp.arange(self.mean.shape[0]) * self.mean.shape[1] + fidelity
        return conditioned_draws(self.process, prior, points, of_data)

    def level_covariance(self) -> tuple[Float[Array, "n L L"], Float[Array, " L"]]:
        """Return the covariance of o_j with candidate i at l, as [i, l, j], and its own variance."""
        cross = self.process.coefficient_cross().reshape(self.own.shape)
        return cross, jnp.diagonal(self.process.coefficient_covariance)

    def links(self) -> Links:
        """Return S, and for each fidelity its level where those before it stand at their typical values."""
        ahead, typical = jnp.eye(self.slope.shape[0]) - self.slope, self.process.trend.mean
        mean = typical + ahead @ (self.process.coefficient_mean - typical)
        variance = jnp.diagonal(ahead @ self.process.coefficient_covariance @ ahead.T)
        sd = jnp.sqrt(jnp.maximum(variance, 0.0))
        return Links(mean, sd, self.slope, jnp.zeros_like(self.slope))


class JointGP(AbstractSurrogate):
    """Gaussian process of the module's equation on the candidates of one pool.

    Attributes:
        features: standardised descriptors of the pool.
        prior: see `joint_prior`.
        parameters: current hyper-parameters.
        rows: answers that there is room for; the rest is not seen, so grow it by `with_room` in time.
    """

    features: Float[Array, "n d"]
    prior: JointPrior
    parameters: Parameters
    rows: int = eqx.field(static=True)

    def condition(self, dataset: Dataset) -> JointBelief:
        """Return the belief given the observed answers; cost rows^2 x candidates x fidelities."""
        kernel, order = _kernel(self.features, self.parameters), jnp.arange(dataset.value.size)
        process = condition(kernel, self._trend(), _rows(dataset, order, self.rows))
        return JointBelief.of(slopes(self.parameters), kernel, process)

    def extend(self, belief: AbstractBelief, dataset: Dataset, fresh: Bool[Array, "n L"]) -> JointBelief:
        """Return `belief` with the `fresh` answers of `dataset` added; linear in their number and in the rows."""
        assert isinstance(belief, JointBelief)
        value, noise_variance = dataset.value.ravel(), dataset.noise_variance.ravel()
        room, count = belief.process.point.shape[0], jnp.sum(fresh)
        found = jnp.nonzero(fresh.ravel(), size=room, fill_value=0)[0]

        def taken(k: Array, process: ExactProcess) -> ExactProcess:
            return process.append(found[k], value[found[k]], noise_variance[found[k]], k < count)

        # The bound is traced: no number of fresh answers is too many, and none costs more than its own row.
        process = jax.lax.fori_loop(0, for_all(jnp.minimum(count, room).astype(jnp.int32)), taken, belief.process)
        return JointBelief.of(belief.slope, belief.kernel, process)

    def fit(self, dataset: Dataset, grown: Bool[Array, " L"]) -> Self:
        """Return the surrogate at its maximum a posteriori, from the current and two more starts; all of it at once."""
        current, rebuild = ravel_pytree(self.parameters)
        centre, spread = ravel_pytree(self.prior.mean)[0], ravel_pytree(self.prior.sd)[0]
        others = centre + spread * jax.random.normal(jax.random.key(0), (1, centre.shape[0]))
        rows, starts = self._fit_rows(dataset), jnp.stack([current, centre, *others])
        best = minimise(lambda point: self._loss(rebuild(point), rows), starts, TOLERANCE)
        return eqx.tree_at(lambda surrogate: surrogate.parameters, self, rebuild(best))

    def loss(self, parameters: Parameters, dataset: Dataset) -> Float[Array, ""]:
        """Return the negative log posterior density of `parameters`, up to a constant."""
        return self._loss(parameters, self._fit_rows(dataset))

    def with_room(self, answers: Sequence[int]) -> Self:
        """Return the surrogate with room for so many answers at each fidelity; beliefs from before keep their room."""
        points = self.features.shape[0] * self.prior.level_mean.shape[0]
        return dataclasses.replace(self, rows=room_for(sum(answers), self.rows, points))

    def sized(self, answers: Sequence[int]) -> Self:
        """Return the surrogate with room for exactly so many answers."""
        return dataclasses.replace(self, rows=max(sum(answers), 1))

    def _loss(self, parameters: Parameters, rows: Rows) -> Float[Array, ""]:
        trend, covariance = self._trend(), _kernel(self.features, parameters).cross(rows.point, rows.point)
        deviations = jax.tree.map(
            lambda x, m, s: jnp.sum(((x - m) / s) ** 2), parameters, self.prior.mean, self.prior.sd
        )
        evidence = negative_log_evidence(covariance, trend.basis[rows.point], trend, rows)
        return evidence + 0.5 * sum(jax.tree.leaves(deviations))

    def _fit_rows(self, dataset: Dataset) -> Rows:
        return _rows(dataset, _scarcest_first(dataset.observed), min(self.rows, FIT_ROWS))

    def _trend(self) -> Trend:
        levels = self.prior.level_mean.shape[0]
        basis = jnp.tile(jnp.eye(levels), (self.features.shape[0], 1))
        return Trend(basis, self.prior.level_mean, self.prior.level_sd**2)


def joint_prior(
    typical: Float[Array, " L"], spread: Float[Array, " L"], features: int, structure: Structure
) -> JointPrior:
    """Return a weakly informative prior from the typical value of each fidelity and its spread over the pool.

    A source is expected to resemble the one before it (slope 0.8 +- 0.6, in spreads); slopes on earlier ones are 0 +-
    0.6. What a source does not share varies by half its spread, within a factor of three or so.
    """
    levels = spread.shape[0]
    kernels = 1 if structure == "icm" else levels
    left, right = _entries(levels, levels - 1 if structure == "autoregressive" else levels * (levels - 1) // 2)
    first, ratio = jnp.arange(levels) == 0, spread[left] / spread[right]
    mean = Parameters(
        log_lengthscale=jnp.full((kernels, features), 0.5 * jnp.log(1.0 * features)),
        log_amplitude=jnp.log(spread) + jnp.where(first, 0.0, jnp.log(0.5)),
        log_ratio=jnp.full(kernels, jnp.log(0.4)),
        slope=jnp.where(left == right + 1, 0.8, 0.0) * ratio,
    )
    sd = Parameters(jnp.full((kernels, features), 0.7), jnp.ones(levels), jnp.ones(kernels), 0.6 * ratio)
    return JointPrior(mean, sd, typical, spread * jnp.where(first, 1.0, 0.5))


def slopes(parameters: Parameters) -> Float[Array, "L L"]:
    """Return S: the slope of fidelity l on j as [l, j], zero for j >= l."""
    levels = parameters.log_amplitude.shape[0]
    return jnp.zeros((levels, levels)).at[_entries(levels, parameters.slope.shape[0])].set(parameters.slope)


def _entries(levels: int, slopes: int) -> tuple[Int[Array, " s"], Int[Array, " s"]]:
    """Return where the stored slopes stand in S."""
    left, right = jnp.tril_indices(levels, -1)
    return (left, right) if slopes == left.shape[0] else (jnp.arange(1, levels), jnp.arange(levels - 1))


def _kernel(features: Float[Array, "n d"], parameters: Parameters) -> Coregionalised:
    identity = jnp.eye(parameters.log_amplitude.shape[0])
    mixing = jax.scipy.linalg.solve_triangular(identity - slopes(parameters), identity, lower=True, unit_diagonal=True)
    lengthscale = jnp.broadcast_to(parameters.log_lengthscale, (identity.shape[0], features.shape[1]))
    individual = parameters.log_amplitude + parameters.log_ratio
    return Coregionalised(features, mixing, lengthscale, parameters.log_amplitude, individual)


def _own(kernel: Coregionalised, process: ExactProcess) -> Float[Array, "n L L"]:
    """Return the covariance between the fidelities of each candidate."""
    shape = (kernel.features.shape[0], kernel.mixing.shape[0])
    factor = process.factor.reshape(-1, *shape)
    leverage = (process.trend.basis - process.smooth_basis).reshape(*shape, -1)
    levels = jnp.einsum("ilp,pq,imq->ilm", leverage, process.coefficient_covariance, leverage)
    return kernel.own - jnp.einsum("ril,rim->ilm", factor, factor) + levels


def _rows(dataset: Dataset, order: Int[Array, " points"], size: int) -> Rows:
    return gather(dataset.observed.ravel(), dataset.value.ravel(), dataset.noise_variance.ravel(), order, size)


def _scarcest_first(observed: Bool[Array, "n L"]) -> Int[Array, " points"]:
    """Return the points in a fixed random order of candidates, those answered by the scarcest source first.

    What the sources share shows only where several have answered; all the answers of a candidate stay together.
    """
    scarcity = jnp.max(jnp.where(observed, 1.0 / jnp.maximum(jnp.sum(observed, axis=0), 1), 0.0), axis=1)
    shuffled = jax.random.permutation(jax.random.key(0), observed.shape[0])
    order = shuffled[jnp.argsort(-scarcity[shuffled])]
    return (order[:, None] * observed.shape[1] + jnp.arange(observed.shape[1])).ravel()
