"""A Gaussian process fitted to measured data: a hidden truth that is as rough, and as noisy, as real measurements.

y = c + f(x) + u(material) + e(record),  f ~ GP(0, a^2 Matern-5/2)      (Rasmussen and Williams 2006, sec. 2.2 and 5.4)

u is what the descriptors cannot explain of a material and all its records share; e is what differs between records of
one material, so that the noise is that of real repeats. All of it in log units where values are positive.
"""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_solve
from jaxtyping import Array, Float, Int, PRNGKeyArray


class Emulator(eqx.Module):
    """A fitted process.

    Attributes:
        features: of the materials measured, standardised as those asked for must be.
        material: which of them each record is of.
        record: measured values on the scale of the process.
        centre: c.
        log_lengthscale: one a descriptor.
        log_sd: logarithms of the standard deviations of f, u and e.
        logarithmic: whether the process is of the logarithm of the property.
    """

    features: Float[Array, "m d"]
    material: Int[Array, " r"]
    record: Float[Array, " r"]
    centre: Float[Array, ""]
    log_lengthscale: Float[Array, " d"]
    log_sd: Float[Array, " 3"]
    logarithmic: bool = eqx.field(static=True)

    def predict(self, features: Float[Array, "n d"]) -> tuple[Float[Array, " n"], Float[Array, "n n"]]:
        """Return mean and covariance of materials that have not been measured, on the scale of the process."""
        within = _covariance(self.features, self.features, self.log_lengthscale, self.log_sd, True)
        rows = within[self.material[:, None], self.material] + _error(self)
        across = _smooth(features, self.features, self.log_lengthscale, self.log_sd)[:, self.material]
        factor = jnp.linalg.cholesky(rows)
        mean = self.centre + across @ cho_solve((factor, True), self.record - self.centre)
        prior = _covariance(features, features, self.log_lengthscale, self.log_sd, True)
        return mean, prior - across @ cho_solve((factor, True), across.T)

    def worlds(self, features: Float[Array, "n d"], count: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return joint draws of the property of such materials, without the error of a record."""
        mean, covariance = self.predict(features)
        factor = jnp.linalg.cholesky(covariance + 1e-9 * jnp.eye(mean.shape[0]))
        drawn = mean + jax.random.normal(key, (count, mean.shape[0])) @ factor.T
        return jnp.exp(drawn) if self.logarithmic else drawn

    @property
    def record_sd(self) -> Float[Array, ""]:
        """Standard deviation between records of one material, on the scale of the process."""
        return jnp.exp(self.log_sd[2])


def fit_emulator(
    features: Float[np.ndarray, "m d"], material: Sequence[int], values: Sequence[float], logarithmic: bool
) -> Emulator:
    """Return the emulator of highest posterior density under weak priors.

    Args:
        features: one standardised row a material.
        material: row that each record is of.
        values: of each record, in the property's unit.
        logarithmic: model the logarithm, for positive properties.

    Raises:
        ValueError: fewer than three records, values that are not finite, or not positive where a logarithm is taken.
    """
    from scipy.optimize import minimize

    record = np.asarray(values, dtype=float)
    if len(record) < 3 or not np.isfinite(record).all() or (logarithmic and (record <= 0.0).any()):
        raise ValueError("an emulator needs three finite records at least, positive ones for their logarithm")
    record = np.log(record) if logarithmic else record
    size, spread = features.shape[1], float(record.std())
    rows = jnp.asarray(features), jnp.asarray(material), jnp.asarray(record)
    start = np.concatenate([np.full(size, 0.5 * np.log(size)), np.log(spread * np.array([1.0, 0.4, 0.2])), [0.0]])
    sd = np.concatenate([np.full(size, 1.0), np.full(3, 1.0), [1.0]])

    def built(vector: Array) -> Emulator:
        centre = record.mean() + spread * vector[-1]
        return Emulator(*rows, centre, vector[:size], vector[size:-1], logarithmic)

    def loss(vector: Array) -> Array:
        return _negative_log_evidence(built(vector)) + 0.5 * jnp.sum(((vector - start) / sd) ** 2)

    both = jax.jit(jax.value_and_grad(loss))
    found = minimize(lambda v: tuple(np.asarray(part, float) for part in both(v)), start, jac=True, method="L-BFGS-B")
    return built(jnp.asarray(found.x))


def _negative_log_evidence(emulator: Emulator) -> Float[Array, ""]:
    among = _covariance(emulator.features, emulator.features, emulator.log_lengthscale, emulator.log_sd, True)
    factor = jnp.linalg.cholesky(among[emulator.material[:, None], emulator.material] + _error(emulator))
    residual = emulator.record - emulator.centre
    return 0.5 * residual @ cho_solve((factor, True), residual) + jnp.sum(jnp.log(jnp.diagonal(factor)))


def _error(emulator: Emulator) -> Float[Array, "r r"]:
    return jnp.exp(2.0 * emulator.log_sd[2]) * jnp.eye(emulator.record.shape[0])


def _covariance(left: Array, right: Array, log_lengthscale: Array, log_sd: Array, same: bool) -> Array:
    own = jnp.exp(2.0 * log_sd[1]) * jnp.eye(left.shape[0]) if same else 0.0
    return _smooth(left, right, log_lengthscale, log_sd) + own


def _smooth(left: Array, right: Array, log_lengthscale: Array, log_sd: Array) -> Array:
    apart = (left[:, None] - right) * jnp.exp(-log_lengthscale)
    distance = jnp.sqrt(5.0 * jnp.sum(apart**2, axis=-1) + 1e-30)
    return jnp.exp(2.0 * log_sd[0]) * (1.0 + distance + distance**2 / 3.0) * jnp.exp(-distance)
