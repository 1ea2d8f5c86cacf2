"""One Gaussian process on the points of a pool, with a cached factor that grows by rank-1 updates.

y = h(x)' beta + g(x) + noise,  beta ~ N(beta_0, S),  g ~ GP(0, k)      (Rasmussen and Williams 2006, sec. 2.7)

With L L' = K + noise over the rows and V = L^-1 k(rows, pool), mean and variance of every point follow from sums over
the rows of V; a new answer adds one row. beta stays explicit, so that a change of h at the pool leaves V as it is.
"""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.experimental.layout import Layout, with_layout_constraint
from jax.scipy.linalg import cho_solve, solve_triangular

from mfal.surrogate.kernels import AbstractPoolKernel
from mfal.types import Array, Bool, Float, Int


class Trend(eqx.Module):
    """Linear part of a process with its prior.

    Attributes:
        basis: h at every point.
        mean: beta_0.
        variance: diagonal of S.
    """

    basis: Float[Array, "points q"]
    mean: Float[Array, " q"]
    variance: Float[Array, " q"]


class Rows(eqx.Module):
    """Answers in the order in which they were taken up; those not `used` are padding.

    Attributes:
        point: index of the point.
        value: answer.
        noise_variance: of the answer.
        used: whether the row is an answer.
    """

    point: Int[Array, " rows"]
    value: Float[Array, " rows"]
    noise_variance: Float[Array, " rows"]
    used: Bool[Array, " rows"]


class AbstractProcess(eqx.Module):
    """Belief about one process on all points."""

    @property
    @abstractmethod
    def mean(self) -> Float[Array, " points"]:
        """Mean of every point."""

    @property
    @abstractmethod
    def variance(self) -> Float[Array, " points"]:
        """Variance of every point."""

    @property
    @abstractmethod
    def coefficient_mean(self) -> Float[Array, " q"]:
        """Mean of beta."""

    @property
    @abstractmethod
    def coefficient_covariance(self) -> Float[Array, "q q"]:
        """Covariance of beta."""

    @abstractmethod
    def combination(self, points: Int[Array, " s"], weights: Float[Array, " s"]) -> Float[Array, " points"]:
        """Return the covariance of a weighted sum of points with every point."""

    @abstractmethod
    def block(self, points: Int[Array, " s"]) -> Float[Array, "s s"]:
        """Return the joint covariance of some points."""

    @abstractmethod
    def coefficient_cross(self) -> Float[Array, "points q"]:
        """Return the covariance of every point with beta."""


class ExactProcess(AbstractProcess):
    """Exact belief from at most a few thousand rows.

    Attributes:
        kernel: k.
        trend: h and the prior of beta.
        count: rows in use.
        point: index of the point of each row.
        cholesky: L.
        factor: V.
        whitened_basis: L^-1 h(rows).
        whitened_residual: L^-1 (y - h(rows)' beta_0).
        reduction: sum of V^2 over the rows.
        smooth_mean: V' whitened_residual.
        smooth_basis: V' whitened_basis.
    """

    kernel: AbstractPoolKernel
    trend: Trend
    count: Int[Array, ""]
    point: Int[Array, " rows"]
    cholesky: Float[Array, "rows rows"]
    factor: Float[Array, "rows points"]
    whitened_basis: Float[Array, "rows q"]
    whitened_residual: Float[Array, " rows"]
    reduction: Float[Array, " points"]
    smooth_mean: Float[Array, " points"]
    smooth_basis: Float[Array, "points q"]

    @property
    def coefficient_covariance(self) -> Float[Array, "q q"]:
        """Covariance of beta."""
        return coefficients(self.trend, self.whitened_basis, self.whitened_residual)[1]

    @property
    def coefficient_mean(self) -> Float[Array, " q"]:
        """Mean of beta."""
        return coefficients(self.trend, self.whitened_basis, self.whitened_residual)[0]

    @property
    def mean(self) -> Float[Array, " points"]:
        """Mean of every point."""
        shift = self.coefficient_mean - self.trend.mean
        return self.trend.basis @ self.coefficient_mean + self.smooth_mean - self.smooth_basis @ shift

    @property
    def variance(self) -> Float[Array, " points"]:
        """Variance of every point."""
        smooth = jnp.maximum(self.kernel.diagonal() - self.reduction, 0.0)
        return smooth + _quadratic(self._leverage(), self.coefficient_covariance)

    def combination(self, points: Int[Array, " s"], weights: Float[Array, " s"]) -> Float[Array, " points"]:
        """Return the covariance of a weighted sum of points with every point."""
        # Where this is in a loop, XLA would rather transpose all of V before it: for a GPU that is the dearest step.
        leverage, factor = self._leverage(), with_layout_constraint(self.factor, Layout(major_to_minor=(0, 1)))
        smooth = weights @ self.kernel.cross(points) - (factor[:, points] @ weights) @ factor
        return smooth + leverage @ (self.coefficient_covariance @ (weights @ leverage[points]))

    def block(self, points: Int[Array, " s"]) -> Float[Array, "s s"]:
        """Return the joint covariance of some points."""
        leverage, factor = self._leverage()[points], self.factor[:, points]
        smooth = self.kernel.cross(points, points) - factor.T @ factor
        return smooth + leverage @ self.coefficient_covariance @ leverage.T

    def coefficient_cross(self) -> Float[Array, "points q"]:
        """Return the covariance of every point with beta."""
        return self._leverage() @ self.coefficient_covariance

    def append(
        self, point: Int[Array, ""], value: Float[Array, ""], noise_variance: Float[Array, ""], use: Bool[Array, ""]
    ) -> "ExactProcess":
        """Return the process with one more answer; cost linear in rows and points.

        Nothing changes unless `use`, nor where every row is taken.
        """
        use = use & (self.count < self.point.shape[0])
        cross = self.factor[:, point]
        prior = self.kernel.cross(point[None])[0]
        scale = jnp.sqrt(_pivot(prior[point], self.reduction[point], noise_variance))
        row = jnp.where(use, (prior - cross @ self.factor) / scale, 0.0)
        basis = (self.trend.basis[point] - cross @ self.whitened_basis) / scale
        residual = (value - self.trend.basis[point] @ self.trend.mean - cross @ self.whitened_residual) / scale
        basis, residual = jnp.where(use, basis, 0.0), jnp.where(use, residual, 0.0)
        at = jnp.where(use, self.count, self.point.shape[0])
        return ExactProcess(
            kernel=self.kernel,
            trend=self.trend,
            count=self.count + use.astype(self.count.dtype),
            point=self.point.at[at].set(point.astype(self.point.dtype), mode="drop"),
            cholesky=self.cholesky.at[at].set(cross.at[at].set(scale, mode="drop"), mode="drop"),
            factor=self.factor.at[at].set(row, mode="drop"),
            whitened_basis=self.whitened_basis.at[at].set(basis, mode="drop"),
            whitened_residual=self.whitened_residual.at[at].set(residual, mode="drop"),
            reduction=self.reduction + row**2,
            smooth_mean=self.smooth_mean + residual * row,
            smooth_basis=self.smooth_basis + row[:, None] * basis,
        )

    def with_basis(self, basis: Float[Array, "points q"]) -> "ExactProcess":
        """Return the process with another h; rows keep the h they were taken up with."""
        return eqx.tree_at(lambda process: process.trend.basis, self, basis)

    def _leverage(self) -> Float[Array, "points q"]:
        return self.trend.basis - self.smooth_basis


def condition(kernel: AbstractPoolKernel, trend: Trend, rows: Rows) -> ExactProcess:
    """Return the belief after all `rows` at once; cost rows^2 x points."""
    cholesky, whitened_basis, whitened_residual = whiten(kernel.cross(rows.point, rows.point), trend, rows)
    factor = (lower_inverse(cholesky) * rows.used) @ kernel.cross(rows.point)
    return ExactProcess(
        kernel=kernel,
        trend=trend,
        count=jnp.sum(rows.used).astype(jnp.int32),
        point=rows.point,
        cholesky=cholesky,
        factor=factor,
        whitened_basis=whitened_basis,
        whitened_residual=whitened_residual,
        reduction=squared_columns(factor),
        smooth_mean=whitened_residual @ factor,
        smooth_basis=factor.T @ whitened_basis,
    )


def lower_inverse(cholesky: Float[Array, "rows rows"]) -> Float[Array, "rows rows"]:
    """Return L^-1, for products with a whole pool: there a triangular solve takes three times as long.

    Rounding errors grow with the condition of L, which the nugget bounds (3e4).
    """
    return solve_triangular(cholesky, jnp.eye(cholesky.shape[0]), lower=True)


def squared_columns(factor: Float[Array, "rows points"]) -> Float[Array, " points"]:
    """Return the sum of squares of every column, row by row: at once XLA takes fifty times as long on a CPU."""
    return jax.lax.scan(lambda total, row: (total + row**2, None), jnp.zeros(factor.shape[1]), factor)[0]


def whiten(
    covariance: Float[Array, "rows rows"], trend: Trend, rows: Rows
) -> tuple[Float[Array, "rows rows"], Float[Array, "rows q"], Float[Array, " rows"]]:
    """Return L, L^-1 h(rows) and L^-1 (y - h(rows)' beta_0); padded rows are independent of all others.

    Args:
        covariance: of g between the rows.
        trend: h at every point and the prior of beta.
        rows: answers.
    """
    mask = rows.used * 1.0
    diagonal = jnp.where(rows.used, rows.noise_variance + _NUGGET * jnp.diagonal(covariance), 1.0)
    cholesky = jnp.linalg.cholesky(covariance * (mask[:, None] * mask) + jnp.diag(diagonal))
    basis, residual = trend.basis[rows.point], rows.value - trend.basis[rows.point] @ trend.mean
    whitened_basis = solve_triangular(cholesky, basis * mask[:, None], lower=True)
    return cholesky, whitened_basis, solve_triangular(cholesky, residual * mask, lower=True)


def coefficients(
    trend: Trend, whitened_basis: Float[Array, "rows q"], whitened_residual: Float[Array, " rows"]
) -> tuple[Float[Array, " q"], Float[Array, "q q"]]:
    """Return mean and covariance of beta given the rows."""
    # With the root of S outside, a coefficient that is known beforehand (variance zero) needs no special case.
    root = jnp.sqrt(trend.variance)
    scaled = root[:, None] * (whitened_basis.T @ whitened_basis) * root + jnp.eye(root.shape[0])
    covariance = root[:, None] * cho_solve((jnp.linalg.cholesky(scaled), True), jnp.diag(root))
    return trend.mean + covariance @ (whitened_basis.T @ whitened_residual), covariance


def negative_log_evidence(
    covariance: Float[Array, "rows rows"], basis: Float[Array, "rows q"], trend: Trend, rows: Rows
) -> Float[Array, ""]:
    """Return minus the log density of the rows, beta integrated out; padded rows add nothing.

    Args:
        covariance: of g between the rows.
        basis: h of the rows.
        trend: gives the prior of beta.
        rows: answers.
    """
    both = (rows.used[:, None] & rows.used) * 1.0
    full = (covariance + (basis * trend.variance) @ basis.T) * both
    diagonal = jnp.where(rows.used, rows.noise_variance + _NUGGET * jnp.diagonal(covariance), 1.0)
    factor = jnp.linalg.cholesky(full + jnp.diag(diagonal))
    residual = jnp.where(rows.used, rows.value - basis @ trend.mean, 0.0)
    whitened = solve_triangular(factor, residual, lower=True)
    normaliser = jnp.log(2.0 * jnp.pi) * jnp.sum(rows.used)
    return 0.5 * (jnp.sum(whitened**2) + normaliser) + jnp.sum(jnp.log(jnp.diagonal(factor)))


def gather(
    mask: Bool[Array, " points"],
    value: Float[Array, " points"],
    noise_variance: Float[Array, " points"],
    order: Int[Array, " points"],
    size: int,
) -> Rows:
    """Return the first `size` points of `mask` in a given order, as rows."""
    found = jnp.nonzero(mask[order], size=size, fill_value=0)[0]
    used = jnp.arange(size) < jnp.sum(mask)
    point = jnp.where(used, order[found], 0).astype(jnp.int32)
    return Rows(point, jnp.where(used, value[point], 0.0), jnp.where(used, noise_variance[point], 1.0), used)


def room_for(count: int, room: int, most: int) -> int:
    """Return a number of rows that holds `count` answers: `room` doubled until it does, and never over `most`."""
    room = max(room, 1)
    while room < min(count, most):
        room *= 2
    return min(room, most)


# Keeps the factor positive definite when a noise-free answer repeats what is already known.
_NUGGET = 1e-9


def _quadratic(vectors: Float[Array, "points q"], matrix: Float[Array, "q q"]) -> Float[Array, " points"]:
    """Return v' M v for each row; column by column, as sums over few columns are slow on a CPU."""
    columns = range(vectors.shape[1])
    terms = (vectors[:, a] * matrix[a, b] * vectors[:, b] for a in columns for b in columns)
    return sum(terms, jnp.zeros(vectors.shape[0]))


def _pivot(prior: Array, reduction: Array, noise_variance: Array) -> Array:
    return jnp.maximum(prior - reduction, 0.0) + noise_variance + _NUGGET * prior
