"""One Gaussian process over continuous designs, such as compositions: for where there is no pool to list.

y = beta + g(x) + noise,  beta ~ N(typical value, typical spread^2),  g ~ GP(0, k)    (Rasmussen and Williams 2006, 2.7)

with a Matern-5/2 kernel. Answers are padded to a fixed number of rows, so nothing compiles again as they come in.
"""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import solve_triangular

from mfal.surrogate.fit import TOLERANCE, minimise
from mfal.surrogate.kernels import smooth_covariance
from mfal.surrogate.pool import Rows, Trend, coefficients, negative_log_evidence, whiten
from mfal.types import Array, Bool, Float


class Designs(eqx.Module):
    """Designs and their answers; rows not `used` are padding.

    Attributes:
        x: designs.
        value: answers.
        used: whether the row is an answer.
    """

    x: Float[Array, "rows d"]
    value: Float[Array, " rows"]
    used: Bool[Array, " rows"]

    @staticmethod
    def room(rows: int, components: int) -> "Designs":
        """Return room for so many answers."""
        return Designs(jnp.zeros((rows, components)), jnp.zeros(rows), jnp.zeros(rows, bool))

    def with_answer(self, x: Float[Array, " d"], value: Float[Array, ""]) -> "Designs":
        """Return the table with one more answer in the next row."""
        row = jnp.sum(self.used)
        return Designs(self.x.at[row].set(x), self.value.at[row].set(value), self.used.at[row].set(True))


class DesignBelief(eqx.Module):
    """What is believed of every design, given some answers.

    Attributes:
        process: hyper-parameters.
        x: designs with answers, padded.
        used: whether the row is an answer.
        cholesky: L, with L L' = K + noise over the rows.
        whitened_basis: L^-1 1.
        whitened_residual: L^-1 (y - typical value).
    """

    process: "DesignGP"
    x: Float[Array, "rows d"]
    used: Bool[Array, " rows"]
    cholesky: Float[Array, "rows rows"]
    whitened_basis: Float[Array, "rows 1"]
    whitened_residual: Float[Array, " rows"]

    def at(self, x: Float[Array, "n d"]) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        """Return mean and standard deviation of the property at some designs, the answers' noise left out."""
        process = self.process
        mean, covariance = coefficients(process.trend(1), self.whitened_basis, self.whitened_residual)
        cross = process.covariance(self.x, x) * self.used[:, None]
        factor = solve_triangular(self.cholesky, cross, lower=True)
        leverage = 1.0 - self.whitened_basis[:, 0] @ factor
        shift = mean[0] - process.typical_value
        expected = process.typical_value + leverage * shift + self.whitened_residual @ factor
        variance = jnp.exp(2.0 * process.log_amplitude) - jnp.sum(factor**2, axis=0) + covariance[0, 0] * leverage**2
        return expected, jnp.sqrt(jnp.maximum(variance, _LEAST * jnp.exp(2.0 * process.log_amplitude)))


class DesignGP(eqx.Module):
    """A smooth property of continuous designs, measured with noise.

    Attributes:
        typical_value: of the property, in its unit.
        typical_spread: over the designs, in its unit; what is believed before any answer is in units of it.
        log_lengthscale: one a component, in units of a fraction.
        log_amplitude: standard deviation of the property over the designs.
        log_noise: standard deviation of one answer.
    """

    typical_value: Float[Array, ""]
    typical_spread: Float[Array, ""]
    log_lengthscale: Float[Array, " d"]
    log_amplitude: Float[Array, ""]
    log_noise: Float[Array, ""]

    @staticmethod
    def before_answers(components: int, typical_value: float, typical_spread: float) -> "DesignGP":
        """Return the process at the centre of what is believed before any answer."""
        value, spread = jnp.asarray(typical_value, jnp.float64), jnp.asarray(typical_spread, jnp.float64)
        return DesignGP(value, spread, *_split(_centre(components, spread), components))

    @eqx.filter_jit
    def fit(self, designs: Designs) -> "DesignGP":
        """Return the process at the most probable hyper-parameters given the answers."""
        components = self.log_lengthscale.shape[0]
        centre, spread = _centre(components, self.typical_spread), _spread(components)
        starts = jnp.stack([self._vector, centre, centre - spread, centre + spread])
        return self._with(minimise(lambda vector: self._loss(vector, designs), starts, TOLERANCE))

    def condition(self, designs: Designs) -> DesignBelief:
        """Return the belief given the answers."""
        rows = self._rows(designs)
        whitened = whiten(self.covariance(designs.x, designs.x), self.trend(designs.x.shape[0]), rows)
        return DesignBelief(self, designs.x, designs.used, *whitened)

    def covariance(self, left: Float[Array, "a d"], right: Float[Array, "b d"]) -> Float[Array, "a b"]:
        """Return the prior covariance between designs, without the level."""
        return smooth_covariance(left, right, self.log_lengthscale, self.log_amplitude)

    def trend(self, rows: int) -> Trend:
        """Return the level as a linear part."""
        return Trend(jnp.ones((rows, 1)), self.typical_value[None], self.typical_spread[None] ** 2)

    @property
    def _vector(self) -> Float[Array, " p"]:
        return jnp.concatenate([self.log_lengthscale, self.log_amplitude[None], self.log_noise[None]])

    def _with(self, vector: Float[Array, " p"]) -> "DesignGP":
        return DesignGP(self.typical_value, self.typical_spread, *_split(vector, self.log_lengthscale.shape[0]))

    def _rows(self, designs: Designs) -> Rows:
        count = designs.x.shape[0]
        noise = jnp.full(count, jnp.exp(2.0 * self.log_noise))
        return Rows(jnp.arange(count, dtype=jnp.int32), designs.value, noise, designs.used)

    def _loss(self, vector: Float[Array, " p"], designs: Designs) -> Float[Array, ""]:
        """Return minus the log of evidence and prior."""
        process, components = self._with(vector), self.log_lengthscale.shape[0]
        away = (vector - _centre(components, self.typical_spread)) / _spread(components)
        trend = process.trend(designs.x.shape[0])
        covariance = process.covariance(designs.x, designs.x)
        return 0.5 * jnp.sum(away**2) + negative_log_evidence(covariance, trend.basis, trend, process._rows(designs))


# Least variance as a share of the prior's: below it only rounding is left.
_LEAST = 1e-12
# Half a simplex, a tenth of the spread, and how far from that they may well be (natural logarithms).
_LENGTHSCALE, _NOISE = float(np.log(0.5)), float(np.log(0.1))
_SD_LENGTHSCALE, _SD_AMPLITUDE, _SD_NOISE = 0.8, 0.7, 1.0


def _centre(components: int, spread: Float[Array, ""]) -> Float[Array, " p"]:
    logarithm = jnp.log(spread)
    scales = jnp.full(components, _LENGTHSCALE + 0.5 * jnp.log(components / 3.0))
    return jnp.concatenate([scales, logarithm[None], logarithm[None] + _NOISE])


def _spread(components: int) -> Float[Array, " p"]:
    return jnp.concatenate([jnp.full(components, _SD_LENGTHSCALE), jnp.array([_SD_AMPLITUDE, _SD_NOISE])])


def _split(vector: Float[Array, " p"], components: int) -> tuple[Array, Array, Array]:
    return vector[:components], vector[components], vector[components + 1]
