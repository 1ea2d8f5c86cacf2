"""Recursive co-kriging over a pool: one Gaussian process a fidelity, each regressed on those before it.

f_l(x) = b_l + sum_(j<l) rho_lj (f_j(x) - c_j) + g_l(x) + e_l(x)

(Kennedy and O'Hagan 2000, 10.1093/biomet/87.1.1, in the recursive form of Le Gratiet and Garnier 2014,
10.1615/Int.J.UncertaintyQuantification.2014006914), with g_l smooth in the descriptors and e_l a part of its own for
every candidate. Levels b and slopes rho are normal beforehand and integrated out exactly: a source that says nothing,
or the opposite, gets the slope that its answers deserve, with its uncertainty.

Exact, at the cost of one process a fidelity, where the answers below a row are exact and in hand (nested answers, or a
level that was screened over the whole pool). A row whose answers below are missing counts with the variance that this
leaves. It stands for its own candidate, and does not teach the levels below; `mfal.surrogate.joint` is exact for such
data.
"""

import dataclasses
from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.batching import for_all, replaced_if
from mfal.dataset import FAILED, Dataset
from mfal.surrogate.base import AbstractBelief, AbstractSurrogate
from mfal.surrogate.fit import TOLERANCE, minimise
from mfal.surrogate.inducing import InducingProcess, choose_inducing, condition_inducing
from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pool import (
    AbstractProcess,
    ExactProcess,
    Rows,
    Trend,
    coefficients,
    condition,
    gather,
    negative_log_evidence,
    room_for,
    whiten,
)
from mfal.surrogate.recursive_belief import Ascent, RecursiveBelief, gaps
from mfal.surrogate.recursive_prior import Parameters, Prior, default_prior
from mfal.types import Array, Bool, Float, Int


class RecursiveGP(AbstractSurrogate):
    """Recursive co-kriging on the candidates of one pool.

    Attributes:
        features: standardised descriptors of the pool.
        prior: see `default_prior`.
        parameters: current hyper-parameters.
        order: fixed shuffle of the pool, from which a subset of very many rows is taken.
        inducing: for each level, the inducing points, or None for an exact process.
        rows: for each level, room for answers of an exact process.
        nonlinear: g_l also depends on the answers below, not only on the descriptors.
    """

    features: Float[Array, "n d"]
    prior: Prior
    parameters: Parameters
    order: Int[Array, " n"]
    inducing: tuple[Int[Array, " p"] | None, ...]
    rows: tuple[int, ...] = eqx.field(static=True)
    nonlinear: bool = eqx.field(static=True)

    def condition(self, dataset: Dataset) -> RecursiveBelief:
        """Return the belief given the observed answers."""
        ascent = Ascent.start(self.features.shape[0])
        for _ in self.rows:
            ascent = ascent.up(self.level_process(dataset, ascent), dataset)
        return ascent.belief()

    def extend(self, belief: AbstractBelief, dataset: Dataset, fresh: Bool[Array, "n L"]) -> RecursiveBelief:
        """Return `belief` with a few fresh answers added at the cost of a rank-1 update each.

        Conditions anew where an update would not be exact, or no cheaper.
        """
        assert isinstance(belief, RecursiveBelief)
        if self.nonlinear or any(points is not None for points in self.inducing[1:]):
            return self.condition(dataset)
        # Rows are as they were taken up: with the gaps and the slopes' prior of that time.
        anew = jnp.any(jnp.sum(fresh, axis=0) > _FEW) | gaps(dataset).any()
        anew = anew | jnp.any(belief.kept < 1.0) | self._outdated(belief, dataset)
        return replaced_if(anew, lambda: self.condition(dataset), self._append(belief, dataset, fresh))

    def fit(self, dataset: Dataset, grown: Bool[Array, " L"]) -> "RecursiveGP":
        """Return the surrogate at its maximum a posteriori, level by level; only those that have `grown`."""
        fitted, ascent = self, Ascent.start(self.features.shape[0])
        for level in range(len(self.rows)):
            again = lambda old=fitted, below=ascent: old._fit_level(dataset, below)  # noqa: E731
            fitted = jax.lax.cond(grown[level], again, lambda old=fitted: old)
            ascent = ascent.up(fitted.level_process(dataset, ascent), dataset)
        return fitted

    def with_room(self, answers: Sequence[int]) -> "RecursiveGP":
        """Return the surrogate with room for so many answers at each fidelity."""
        size = self.features.shape[0]
        rows = tuple(
            room if points is not None else room_for(count, room, size)
            for count, room, points in zip(answers, self.rows, self.inducing, strict=True)
        )
        return dataclasses.replace(self, rows=rows)

    def sized(self, answers: Sequence[int]) -> "RecursiveGP":
        """Return the surrogate with room for exactly so many answers at each fidelity."""
        size = self.features.shape[0]
        rows = tuple(
            room if points is not None else min(max(count, 1), size)
            for count, room, points in zip(answers, self.rows, self.inducing, strict=True)
        )
        return dataclasses.replace(self, rows=rows)

    def loss(self, vector: Float[Array, " p"], level: int, rows: Rows, trend: Trend, features: Array) -> Array:
        """Return the negative log posterior density of one level's hyper-parameters, up to a constant.

        Args:
            vector: log length scales, log amplitude, log individual of that level.
            level: index in the ladder.
            rows: answers, `point` counting within `features`.
            trend: prior of levels and slopes, with the basis at `features`.
            features: inputs of the rows.
        """
        centre, sd = (part.vector(level) for part in (self.prior.mean, self.prior.sd))
        prior = 0.5 * jnp.sum(((vector - centre) / sd) ** 2)
        return prior - log_evidence(vector, rows, trend, features)

    def level_problem(self, dataset: Dataset, below: Ascent, size: int) -> tuple[Rows, Trend, Array]:
        """Return rows, trend and inputs from which the hyper-parameters of a level are learnt."""
        trend, inputs = self._trend(dataset, below), self._inputs(below)
        rows = self._rows(dataset, below, trend, size)
        local = Rows(jnp.arange(size, dtype=jnp.int32), rows.value, rows.noise_variance, rows.used)
        return local, Trend(trend.basis[rows.point], trend.mean, trend.variance), inputs[rows.point]

    def level_process(self, dataset: Dataset, below: Ascent) -> AbstractProcess:
        """Return the process of a level given its answers and all that is believed of those below."""
        kernel, trend, level = self._kernel(below), self._trend(dataset, below), below.level
        points = self.inducing[level]
        if points is None:
            return condition(kernel, trend, self._rows(dataset, below, trend, self.rows[level]))
        column = (dataset.observed[:, level], dataset.value[:, level], dataset.noise_variance[:, level])
        return condition_inducing(kernel, trend, *column, points)

    def _fit_level(self, dataset: Dataset, below: Ascent) -> "RecursiveGP":
        level = below.level
        size = min(_FIT_ROWS, self.features.shape[0], self.rows[level])
        rows, trend, inputs = self.level_problem(dataset, below, size)
        current, centre = self.parameters.vector(level), self.prior.mean.vector(level)
        starts = jnp.stack([current, centre.at[:-2].add(-0.7)])
        best = minimise(lambda vector: self.loss(vector, level, rows, trend, inputs), starts, TOLERANCE)
        parameters = self.parameters.with_vector(level, best)
        fitted = eqx.tree_at(lambda surrogate: surrogate.parameters, self, parameters)
        return fitted._with_inducing(below)

    def _with_inducing(self, below: Ascent) -> "RecursiveGP":
        level = below.level
        points = self.inducing[level]
        if points is None:
            return self
        chosen = choose_inducing(self._kernel(below), self.order[:_SUBSET], points.shape[0])
        inducing = (*self.inducing[:level], chosen, *self.inducing[level + 1 :])
        return eqx.tree_at(lambda surrogate: surrogate.inducing, self, inducing, is_leaf=lambda leaf: leaf is None)

    def _append(self, belief: RecursiveBelief, dataset: Dataset, fresh: Bool[Array, "n L"]) -> RecursiveBelief:
        ascent = Ascent.start(self.features.shape[0])
        for level, process in enumerate(belief.levels):
            if isinstance(process, ExactProcess):
                process = process.with_basis(self._trend(dataset, ascent).basis)
            ascent = ascent.up(_appended(process, dataset, level, fresh[:, level]), dataset)
        return ascent.belief()

    def _outdated(self, belief: RecursiveBelief, dataset: Dataset) -> Bool[Array, ""]:
        """Return whether a source has been left out or taken in since."""
        changed = [
            jnp.any(self._coefficients(level, dataset)[1] != process.trend.variance)
            for level, process in enumerate(belief.levels)
            if isinstance(process, ExactProcess)
        ]
        return jnp.any(jnp.array(changed))

    def _kernel(self, below: Ascent) -> SmoothAndIndividual:
        level = below.level
        return SmoothAndIndividual(
            self._inputs(below),
            self.parameters.log_lengthscale[level],
            self.parameters.log_amplitude[level],
            self.parameters.log_individual[level],
        )

    def _inputs(self, below: Ascent) -> Float[Array, "n D"]:
        if not self.nonlinear:
            return self.features
        shifted = self._shifted(below) / self.prior.typical_spread[: below.level]
        unused = jnp.zeros((self.features.shape[0], len(self.rows) - 1 - below.level))
        return jnp.column_stack([self.features, shifted, unused])

    def _shifted(self, below: Ascent) -> Float[Array, "n j"]:
        """Return the means below, from their typical values."""
        return below.means - self.prior.typical_value[: below.level]

    def _trend(self, dataset: Dataset, below: Ascent) -> Trend:
        basis = jnp.column_stack([jnp.ones(self.features.shape[0]), self._shifted(below)])
        return Trend(basis, *self._coefficients(below.level, dataset))

    def _coefficients(self, level: int, dataset: Dataset) -> tuple[Array, Array]:
        """Return mean and variance of level and slopes beforehand; a source that only fails has no slope."""
        alive = ~_dead(dataset)[:level]
        mean = jnp.concatenate([self.prior.typical_value[level][None], alive * self.prior.slope_mean[level, :level]])
        sd = jnp.concatenate([self.prior.level_sd[level][None], alive * self.prior.slope_sd[level, :level]])
        return mean, sd**2

    def _rows(self, dataset: Dataset, below: Ascent, trend: Trend, size: int) -> Rows:
        """Return a level's answers; those with a gap below carry the variance that the gap leaves."""
        level = below.level
        column = (dataset.observed[:, level], dataset.value[:, level], dataset.noise_variance[:, level])
        rows = gather(*column, self.order, size)
        if level == 0:
            return rows
        missing = below.own[rows.point]
        kernel = self._kernel(below)
        covariance = kernel.cross(rows.point, rows.point)
        slopes, spread = trend.mean[1:], jnp.diag(trend.variance[1:])
        for _ in range(_ROUNDS):
            widened = _widened(rows, missing, slopes, spread)
            mean, spread = coefficients(trend, *whiten(covariance, trend, widened)[1:])
            slopes, spread = mean[1:], spread[1:, 1:]
        return _widened(rows, missing, slopes, spread)


def log_evidence(vector: Float[Array, " p"], rows: Rows, trend: Trend, features: Array) -> Float[Array, ""]:
    """Return the log density of one level's answers given its hyper-parameters; arguments as in `RecursiveGP.loss`."""
    kernel = SmoothAndIndividual(features, vector[: features.shape[1]], vector[-2], vector[-1])
    covariance = kernel.cross(jnp.arange(features.shape[0]))
    return -negative_log_evidence(covariance, trend.basis, trend, rows)


def recursive_surrogate(
    features: Float[Array, "n d"],
    typical_value: Float[Array, " L"],
    typical_spread: Float[Array, " L"],
    nonlinear: bool,
) -> RecursiveGP:
    """Return recursive co-kriging before any data; the first fidelity through inducing points if the pool is large."""
    size, fidelities = features.shape[0], typical_value.shape[0]
    prior = default_prior(typical_value, typical_spread, features.shape[1], nonlinear)
    order = jnp.asarray(np.random.default_rng(0).permutation(size))
    # A target alone is never screened; its few answers are taken exactly.
    dense = order[:INDUCING] if size > EXACT and fidelities > 1 else None
    first = min(size, FIRST_ROWS)
    return RecursiveGP(
        features=features,
        prior=prior,
        parameters=prior.mean,
        order=order,
        inducing=(dense, *[None] * (fidelities - 1)),
        rows=(min(size, EXACT) if fidelities > 1 else first, *[first] * (fidelities - 1)),
        nonlinear=nonlinear,
    )


# Answers that there is room for at first, the most that one process takes exactly, and the inducing points beyond it.
FIRST_ROWS, EXACT, INDUCING = 128, 1024, 256
# Fresh answers a level up to which single updates are cheaper than conditioning anew.
_FEW = 16
# Rows that hyper-parameters are learnt from, and candidates that inducing points are chosen from.
_FIT_ROWS, _SUBSET = 256, 4096
# Rounds in which slopes and the variances that depend on them settle.
_ROUNDS = 2
# Failures without a single success after which a source is left out.
_DEAD = 3


def _dead(dataset: Dataset) -> Bool[Array, " L"]:
    failures = jnp.sum(dataset.status == FAILED, axis=0)
    return (failures >= _DEAD) & ~dataset.observed.any(axis=0)


def _appended(process: AbstractProcess, dataset: Dataset, level: int, fresh: Bool[Array, " n"]) -> AbstractProcess:
    value, noise, count = dataset.value[:, level], dataset.noise_variance[:, level], jnp.sum(fresh)
    if isinstance(process, InducingProcess):
        found = jnp.nonzero(fresh, size=_FEW, fill_value=0)[0]
        return process.append(found, value[found], noise[found], jnp.arange(_FEW) < count)
    assert isinstance(process, ExactProcess)

    def add(index: Array, grown: tuple[ExactProcess, Array]) -> tuple[ExactProcess, Array]:
        process, left = grown
        found = jnp.argmax(left)
        return process.append(found, value[found], noise[found], index < count), left.at[found].set(False)

    return jax.lax.fori_loop(0, for_all(jnp.minimum(count, _FEW)), add, (process, fresh))[0]


def _widened(rows: Rows, below: Float[Array, "rows j j"], slopes: Array, spread: Array) -> Rows:
    second = jnp.outer(slopes, slopes) + spread
    extra = jnp.einsum("jk,rjk->r", second, below)
    return Rows(rows.point, rows.value, rows.noise_variance + jnp.where(rows.used, extra, 0.0), rows.used)
