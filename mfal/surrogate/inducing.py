"""One Gaussian process on a pool from very many answers, through inducing points.

The smooth part is written in p functions of the pool, k(x, x') = phi(x)' phi(x') + what they miss, and what they
miss is kept on the diagonal (FITC: Snelson and Ghahramani 2006; Quinonero-Candela and Rasmussen 2005, sec. 6). With
every candidate's individual part beside it, a noise-free answer is reproduced exactly. Cost p^2 x points.
"""

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular

from mfal.surrogate.kernels import SmoothAndIndividual
from mfal.surrogate.pool import AbstractProcess, Trend, lower_inverse, squared_columns
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
        return squared_columns(self.factor) + self.residual

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
        return (self.coefficient_factor.T @ self.factor).T

    def append(
        self,
        points: Int[Array, " m"],
        value: Float[Array, " m"],
        noise_variance: Float[Array, " m"],
        use: Bool[Array, " m"],
    ) -> "InducingProcess":
        """Return the process with some more answers, for points without one; cost inducing x m x points.

        With z the p normals behind the factor, an answer is one more equation for z; I + A A' is its precision after.
        """
        at = jnp.where(use, points, self.residual.shape[0])
        own = self.residual[points]
        trust = own / (own + noise_variance + _TINY)
        weight = jnp.where(use, 1.0 / jnp.sqrt(own + noise_variance + _TINY), 0.0)
        answers = self.factor[:, points] * weight
        innovation = weight * (value - self.point_mean[points])
        shift = answers @ jnp.linalg.solve(jnp.eye(points.shape[0]) + answers.T @ answers, innovation)
        moved, known = self.point_mean + shift @ self.factor, 1.0 - trust
        return InducingProcess(
            point_mean=moved.at[at].set(known * moved[points] + trust * value, mode="drop"),
            beta_mean=self.beta_mean + shift @ self.coefficient_factor,
            factor=_narrowed(self.factor, answers).at[:, at].multiply(known, mode="drop"),
            residual=self.residual.at[at].set(trust * noise_variance, mode="drop"),
            coefficient_factor=_narrowed(self.coefficient_factor, answers),
            unexplained=self.unexplained,
        )

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
    missed = jnp.maximum(smooth_variance - squared_columns(smooth), 0.0)
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
        factor=(lower_inverse(root) @ features) * (1.0 - trust),
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


def _narrowed(factor: Float[Array, "p k"], answers: Float[Array, "p m"]) -> Float[Array, "p k"]:
    """Return (I + A A')^(-1/2) factor, through the m x m Gram matrix of A."""
    eigenvalue, vector = jnp.linalg.eigh(answers.T @ answers)
    eigenvalue = jnp.maximum(eigenvalue, 0.0)
    root = jnp.sqrt(1.0 + eigenvalue)
    # ((1 + x)^(-1/2) - 1) / x without the cancellation at small x.
    scale = -1.0 / (root * (root + 1.0))
    return factor + (answers @ ((vector * scale) @ vector.T)) @ (answers.T @ factor)


def _features(kernel: SmoothAndIndividual, inducing: Int[Array, " p"]) -> Float[Array, "p points"]:
    points = kernel.features[inducing]
    covariance = kernel.smooth(points, points)
    jitter = _NUGGET * jnp.exp(2.0 * kernel.log_amplitude) * jnp.eye(points.shape[0])
    return lower_inverse(jnp.linalg.cholesky(covariance + jitter)) @ kernel.smooth(points, kernel.features)
