"""How well a process foretells answers: leave-one-out in closed form, log predictive density, coverage.

Densities are natural logarithms, per unit of the property; differences are nats.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular

from mfal.surrogate.pool import ExactProcess
from mfal.types import Array, Bool, Float


class Foretold(eqx.Module):
    """Predictions of answers, noise included, next to the answers; rows not `used` count for nothing.

    Attributes:
        mean: of each answer.
        variance: of each answer.
        value: the answer.
        used: whether the row is an answer.
    """

    mean: Float[Array, " rows"]
    variance: Float[Array, " rows"]
    value: Float[Array, " rows"]
    used: Bool[Array, " rows"]

    def only(self, chosen: Bool[Array, " rows"]) -> "Foretold":
        """Return the predictions of some rows, such as the target's."""
        return Foretold(self.mean, self.variance, self.value, self.used & chosen)

    @property
    def log_density(self) -> Float[Array, " rows"]:
        """Log predictive density of each answer, zero for rows that are not used."""
        squared = (self.value - self.mean) ** 2 / self.variance
        return jnp.where(self.used, -0.5 * (jnp.log(2.0 * jnp.pi * self.variance) + squared), 0.0)

    @property
    def negative_log_density(self) -> Float[Array, ""]:
        """Mean negative log predictive density (NLPD): lower is better."""
        return -jnp.sum(self.log_density) / jnp.sum(self.used)

    def coverage(self, levels: Float[Array, " k"]) -> Float[Array, " k"]:
        """Return the share of answers inside the central interval of each level; calibrated where it equals it."""
        reach = jax.scipy.stats.norm.ppf(0.5 + 0.5 * levels)
        inside = jnp.abs(self.value - self.mean) <= reach[:, None] * jnp.sqrt(self.variance)
        return jnp.sum(inside & self.used, axis=1) / jnp.sum(self.used)


def leave_one_out(process: ExactProcess) -> Foretold:
    """Return what each row would be foretold to be from all others, hyper-parameters kept.

    Source: Rasmussen and Williams 2006, eq. 5.12, with beta integrated out: the inverse is that of K + noise + H S H'.
    """
    precision = _precision(process)
    residual = process.cholesky @ process.whitened_residual
    value = residual + process.cholesky @ (process.whitened_basis @ process.trend.mean)
    variance = 1.0 / jnp.diagonal(precision)
    used = jnp.arange(residual.shape[0]) < process.count
    return Foretold(value - variance * (precision @ residual), variance, value, used)


def source_evidence(informed: Foretold, uninformed: Foretold) -> Float[Array, ""]:
    """Return by how many nats a source helps to foretell the target: negative where it misleads.

    Both hold the same answers of the target, foretold with the answers of the source and without them.
    """
    return jnp.sum(informed.log_density) - jnp.sum(uninformed.log_density)


def rows_at(process: ExactProcess, fidelity: int, fidelities: int) -> Bool[Array, " rows"]:
    """Return which rows of a joint process (point i L + l) are answers of one fidelity."""
    return process.point % fidelities == fidelity


def _precision(process: ExactProcess) -> Float[Array, "rows rows"]:
    inverse = solve_triangular(process.cholesky, jnp.eye(process.cholesky.shape[0]), lower=True)
    basis = process.whitened_basis
    return inverse.T @ (inverse - basis @ (process.coefficient_covariance @ (basis.T @ inverse)))
