"""One Gaussian process on a pool from very many answers, through inducing points.

The smooth part is written in p functions of the pool, k(x, x') = phi(x)' phi(x') + what they miss, and what they
miss is kept on the diagonal (FITC: Snelson and Ghahramani 2006; Quinonero-Candela and Rasmussen 2005, sec. 6). With
every candidate's individual part beside it, a noise-free answer is reproduced exactly. Cost p^2 x points.
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular

from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pool import AbstractProcess, Trend
from mfal.types import Array, Bool, Float, Int, PRNGKeyArray


class InducingProcess(AbstractProcess):
    """Belief in low-rank form: covariance = factor' factor + diag(residual).

    Attributes:
        point_mean: mean of every point.
        beta_mean: mean of beta.
        factor: shape (inducing + q, points).
        residual: variance of every point that the factor does not carry.
        coefficient_factor: what `factor` is for the points, for beta.
        unexplained: share of the smooth part's prior variance that the inducing points miss, mean over the pool.
    """

    point_mean: Float[Array, " points"]
    beta_mean: Float[Array, " q"]
    factor: Float[Array, "p points"]
    residual: Float[Array, " points"]
    coefficient_factor: Float[Array, "p q"]
    unexplained: Float[Array, ""]

    @property
    def mean(self) -> Float[Array, " points"]:
        """Mean of every point."""
        return self.point_mean

    @property
    def coefficient_mean(self) -> Float[Array, " q"]:
        """Mean of beta."""
        return self.beta_mean

    @property
    def variance(self) -> Float[Array, " points"]:
        """Variance of every point."""
        return jnp.sum(self.factor**2, axis=0) + self.residual

    @property
    def coefficient_covariance(self) -> Float[Array, "q q"]:
        """Covariance of beta."""
        return self.coefficient_factor.T @ self.coefficient_factor

    def combination(self, points: Int[Array, " s"], weights: Float[Array, " s"]) -> Float[Array, " points"]:
        """Return the covariance of a weighted sum of points with every point."""
        smooth = (self.factor[:, points] @ weights) @ self.factor
        return smooth.at[points].add(weights * self.residual[points])

    def block(self, points: Int[Array, " s"]) -> Float[Array, "s s"]:
        """Return the joint covariance of some points."""
        factor = self.factor[:, points]
        same = points[:, None] == points
        return factor.T @ factor + jnp.where(same, self.residual[points], 0.0)

    def coefficient_cross(self) -> Float[Array, "points q"]:
        """Return the covariance of every point with beta."""
        return self.factor.T @ self.coefficient_factor

    def draws(self, count: int, key: PRNGKeyArray) -> Float[Array, "count points"]:
        """Return joint samples over the pool."""
        shared, own = jax.random.split(key)
        smooth = jax.random.normal(shared, (count, self.factor.shape[0])) @ self.factor
        return self.mean + smooth + jnp.sqrt(self.residual) * jax.random.normal(own, (count, self.mean.shape[0]))


def condition_inducing(
    kernel: SmoothAndIndividual,
    trend: Trend,
    observed: Bool[Array, " points"],
    value: Float[Array, " points"],
    noise_variance: Float[Array, " points"],
    inducing: Int[Array, " p"],
) -> InducingProcess:
    """Return the belief after all `observed` answers at once.

    Args:
        kernel: of the process.
        trend: h and the prior of beta.
        observed: points with an answer.
        value: the answers.
        noise_variance: their variances.
        inducing: indices of the inducing points, see `choose_inducing`.
    """
    smooth = _features(kernel, inducing)
    smooth_variance = jnp.exp(2.0 * kernel.log_amplitude)
    missed = jnp.maximum(smooth_variance - jnp.sum(smooth**2, axis=0), 0.0)
    residual = missed + jnp.exp(2.0 * kernel.log_individual)
    features = jnp.concatenate([smooth, jnp.sqrt(trend.variance)[:, None] * trend.basis.T])
    prior_mean = trend.basis @ trend.mean
    precision = jnp.where(observed, 1.0 / (residual + noise_variance + _TINY), 0.0)
    inner = jnp.eye(features.shape[0]) + (features * precision) @ features.T
    root = jnp.linalg.cholesky(inner)
    weights = cho_solve((root, True), features @ (precision * (value - prior_mean)))
    # What a point's own answer says of the part that the features miss.
    trust = jnp.where(observed, residual / (residual + noise_variance + _TINY), 0.0)
    smooth_mean = prior_mean + weights @ features
    scale = jnp.sqrt(trend.variance)
    selector = jnp.zeros((features.shape[0], scale.shape[0])).at[-scale.shape[0] :].set(jnp.diag(scale))
    return InducingProcess(
        point_mean=jnp.where(observed, (1.0 - trust) * smooth_mean + trust * value, smooth_mean),
        beta_mean=trend.mean + scale * weights[-scale.shape[0] :],
        factor=solve_triangular(root, features, lower=True) * (1.0 - trust),
        residual=jnp.where(observed, trust * noise_variance, residual),
        coefficient_factor=solve_triangular(root, selector, lower=True),
        unexplained=jnp.mean(missed) / smooth_variance,
    )


def choose_inducing(kernel: SmoothAndIndividual, subset: Int[Array, " s"], count: int) -> Int[Array, " count"]:
    """Return the points of `subset` that together explain it best, greedily (pivoted Cholesky factor).

    Source: Harbrecht, Peters and Schneider 2012 (10.1016/j.apnum.2011.10.001), alg. 1.
    """
    features = kernel.features[subset]

    def step(index: Array, carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        left, factor, chosen = carry
        pivot = jnp.argmax(left).astype(jnp.int32)
        column = kernel.smooth(features[pivot][None], features)[0] - factor[:, pivot] @ factor
        row = column / jnp.sqrt(jnp.maximum(left[pivot], _TINY))
        # A pivot is used up; rounding must not bring it back.
        remaining = jnp.maximum(left - row**2, 0.0).at[pivot].set(-1.0)
        return jnp.where(left < 0.0, left, remaining), factor.at[index].set(row), chosen.at[index].set(pivot)

    start = jnp.full(subset.shape[0], jnp.exp(2.0 * kernel.log_amplitude))
    blank = (start, jnp.zeros((count, subset.shape[0])), jnp.zeros(count, jnp.int32))
    return subset[jax.lax.fori_loop(0, count, step, blank)[2]]


_TINY = 1e-300
# Relative to the prior variance; the inducing points of a smooth kernel are nearly dependent.
_NUGGET = 1e-8


def _features(kernel: SmoothAndIndividual, inducing: Int[Array, " p"]) -> Float[Array, "p points"]:
    points = kernel.features[inducing]
    covariance = kernel.smooth(points, points)
    jitter = _NUGGET * jnp.exp(2.0 * kernel.log_amplitude) * jnp.eye(points.shape[0])
    return solve_triangular(
        jnp.linalg.cholesky(covariance + jitter), kernel.smooth(points, kernel.features), lower=True
    )
