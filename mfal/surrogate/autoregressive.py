"""Auto-regressive multi-fidelity Gaussian process over a pool.

f_1 = m + g_1,  f_l = rho_l f_(l-1) + b_l + g_l(x) + e_l   (Kennedy and O'Hagan 2000, 10.1093/biomet/87.1.1)

with g_l smooth in the descriptors, b_l a constant offset (the systematic difference between two sources,
integrated out exactly) and e_l a part of its own for every candidate, which composition cannot explain.
The joint covariance is assembled over the observed rows, so the data may be scattered and of any order.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jax.scipy.linalg import solve_triangular

from mfal.dataset import Dataset
from mfal.surrogate.base import AbstractSurrogate, Posterior
from mfal.surrogate.fit import minimise
from mfal.surrogate.kernels import smooth_covariance
from mfal.types import Array, Float, Int


class Parameters(eqx.Module):
    """Hyper-parameters as stored: logarithms where positive, read only in `_level_covariances` and `_paths`.

    Attributes:
        log_lengthscale: of g_l, in standardised descriptor units.
        log_amplitude: standard deviation of g_l.
        log_individual: standard deviation of e_l.
        slope: rho_l; the first is unused.
    """

    log_lengthscale: Float[Array, " L"]
    log_amplitude: Float[Array, " L"]
    log_individual: Float[Array, " L"]
    slope: Float[Array, " L"]


class Prior(eqx.Module):
    """What is believed before any data; independent normals on the stored parameters.

    Attributes:
        mean: centre of every parameter.
        sd: its standard deviation.
        typical_value: m, in the property's unit.
        offset_sd: standard deviation of each b_l; of m for the first.
    """

    mean: Parameters
    sd: Parameters
    typical_value: Float[Array, ""]
    offset_sd: Float[Array, " L"]


class AutoregressiveGP(AbstractSurrogate):
    """Gaussian process of the module's equation on the candidates of one pool.

    Works on dense (candidates x fidelities) matrices: meant for pools up to a few thousand.

    Attributes:
        features: standardised descriptors of the pool.
        prior: see `default_prior`.
        parameters: current hyper-parameters.
    """

    features: Float[Array, "n d"]
    prior: Prior
    parameters: Parameters

    def condition(self, dataset: Dataset) -> Posterior:
        """Return the posterior over the pool.

        The mean uses the observed rows; the covariance also knows that pending rows will be answered
        (their answers are believed to fall on the mean).
        """
        joint = self._joint(self.parameters)
        observed = _Conditioned.on(joint, dataset, dataset.observed, self._prior_mean())
        expected = _Conditioned.on(joint, dataset, dataset.observed | dataset.pending, self._prior_mean())
        offsets = self._offset_cross(dataset)
        shape = (self.features.shape[0], joint.paths.shape[0])
        return Posterior(
            mean=jnp.broadcast_to(self._prior_mean(), shape) + observed.mean(joint.pool).reshape(shape),
            covariance=joint.pool - expected.reduction(joint.pool),
            offset_mean=offsets.T @ observed.weights,
            offset_covariance=jnp.diag(self.prior.offset_sd**2) - observed.explained(offsets),
        )

    def fit(self, dataset: Dataset) -> "AutoregressiveGP":
        """Return the surrogate at its maximum a posteriori, from the current and the prior's parameters."""
        current, rebuild = ravel_pytree(self.parameters)
        centre, _ = ravel_pytree(self.prior.mean)
        best = minimise(lambda point: self.loss(rebuild(point), dataset), jnp.stack([current, centre]))
        return AutoregressiveGP(self.features, self.prior, rebuild(best))

    @property
    def paths(self) -> Float[Array, "L L"]:
        """What level j contributes to fidelity l: products of slopes, zero for j > l."""
        return _paths(self.parameters)

    def loss(self, parameters: Parameters, dataset: Dataset) -> Float[Array, ""]:
        """Return the negative log posterior density of `parameters`, up to a constant."""
        joint = self._joint(parameters)
        mean = _typical_means(self.prior.typical_value, joint.paths)
        conditioned = _Conditioned.on(joint, dataset, dataset.observed, mean)
        deviations = jax.tree.map(
            lambda x, m, s: jnp.sum(((x - m) / s) ** 2), parameters, self.prior.mean, self.prior.sd
        )
        return conditioned.negative_log_likelihood() + 0.5 * sum(jax.tree.leaves(deviations))

    def _joint(self, parameters: Parameters) -> "_Joint":
        return _Joint(_paths(parameters), _level_covariances(parameters, self.features, self.prior.offset_sd))

    def _prior_mean(self) -> Float[Array, " L"]:
        return _typical_means(self.prior.typical_value, _paths(self.parameters))

    def _offset_cross(self, dataset: Dataset) -> Float[Array, "capacity L"]:
        return _paths(self.parameters)[dataset.fidelity] * self.prior.offset_sd**2


def default_prior(typical_value: float, typical_spread: float, features: int, fidelities: int) -> Prior:
    """Return a weakly informative prior in units of the property's spread over the pool.

    A cheap source is expected to resemble the next one (slope 1 +- 0.5) up to an offset and a
    discrepancy, both about a fifth of the spread; the data may say otherwise.
    """
    first = jnp.arange(fidelities) == 0
    spread = jnp.log(typical_spread)

    def level(at_first: float | Array, above: float | Array) -> Float[Array, " L"]:
        return jnp.where(first, at_first, above).astype(jnp.float64)

    mean = Parameters(
        log_lengthscale=level(*[0.5 * jnp.log(1.0 * features)] * 2),
        log_amplitude=spread + jnp.log(level(1.0, 0.2)),
        log_individual=spread + jnp.log(level(0.3, 0.15)),
        slope=level(1.0, 1.0),
    )
    sd = Parameters(level(0.7, 0.7), level(0.7, 0.7), level(0.7, 0.7), level(0.5, 0.5))
    return Prior(mean, sd, jnp.asarray(typical_value, dtype=jnp.float64), typical_spread * level(1.0, 0.3))


class _Joint(eqx.Module):
    """Prior covariance over candidates and fidelities: sum over levels of paths x paths x level."""

    paths: Float[Array, "L L"]
    levels: Float[Array, "L n n"]

    @property
    def pool(self) -> Float[Array, "nL nL"]:
        """Covariance of every (candidate, fidelity) with every other, row-major."""
        size = self.levels.shape[1] * self.paths.shape[0]
        return jnp.einsum("aj,bj,jnm->namb", self.paths, self.paths, self.levels).reshape(size, size)


class _Conditioned(eqx.Module):
    """One Cholesky factor of the covariance of some rows, padded rows being independent of everything."""

    rows: Int[Array, " capacity"]
    mask: Float[Array, " capacity"]
    factor: Float[Array, "capacity capacity"]
    residual: Float[Array, " capacity"]

    @staticmethod
    def on(joint: _Joint, dataset: Dataset, mask: Array, mean: Float[Array, " L"]) -> "_Conditioned":
        rows = dataset.candidate * joint.paths.shape[0] + dataset.fidelity
        both = mask[:, None] & mask[None, :]
        covariance = jnp.where(both, joint.pool[rows[:, None], rows[None, :]], 0.0)
        diagonal = jnp.where(mask, dataset.noise_variance + _NUGGET * jnp.diagonal(covariance), 1.0)
        residual = jnp.where(mask, dataset.value - mean[dataset.fidelity], 0.0)
        return _Conditioned(rows, mask * 1.0, jnp.linalg.cholesky(covariance + jnp.diag(diagonal)), residual)

    @property
    def whitened(self) -> Float[Array, " capacity"]:
        return solve_triangular(self.factor, self.residual, lower=True)

    @property
    def weights(self) -> Float[Array, " capacity"]:
        return solve_triangular(self.factor, self.whitened, lower=True, trans=1)

    def mean(self, pool: Float[Array, "nL nL"]) -> Float[Array, " nL"]:
        return (self.mask * self.weights) @ pool[self.rows]

    def reduction(self, pool: Float[Array, "nL nL"]) -> Float[Array, "nL nL"]:
        scaled = solve_triangular(self.factor, self.mask[:, None] * pool[self.rows], lower=True)
        return scaled.T @ scaled

    def explained(self, cross: Float[Array, "capacity L"]) -> Float[Array, "L L"]:
        scaled = solve_triangular(self.factor, self.mask[:, None] * cross, lower=True)
        return scaled.T @ scaled

    def negative_log_likelihood(self) -> Float[Array, ""]:
        """Gaussian evidence; padded rows add nothing (Rasmussen and Williams 2006, eq. 2.30)."""
        normaliser = jnp.log(2.0 * jnp.pi) * self.mask.sum()
        return 0.5 * (jnp.sum(self.whitened**2) + normaliser) + jnp.sum(jnp.log(jnp.diagonal(self.factor)))


# Keeps the factor positive definite when a noise-free answer repeats what is already known.
_NUGGET = 1e-9


def _paths(parameters: Parameters) -> Float[Array, "L L"]:
    """Return what level j contributes to fidelity l: the product of the slopes between them, 0 for j > l."""
    levels = parameters.slope.shape[0]

    def row(previous: Float[Array, " L"], level: Array) -> tuple[Array, Array]:
        current = jnp.where(jnp.arange(levels) == level, 1.0, previous * parameters.slope[level])
        return current, current

    return jax.lax.scan(row, jnp.zeros(levels), jnp.arange(levels))[1]


def _typical_means(typical_value: Float[Array, ""], paths: Float[Array, "L L"]) -> Float[Array, " L"]:
    return typical_value * paths[:, 0]


def _level_covariances(
    parameters: Parameters, features: Float[Array, "n d"], offset_sd: Float[Array, " L"]
) -> Float[Array, "L n n"]:
    smooth = jax.vmap(lambda ell, amplitude: smooth_covariance(features, ell, amplitude))(
        parameters.log_lengthscale, parameters.log_amplitude
    )
    individual = jnp.exp(2.0 * parameters.log_individual)[:, None, None] * jnp.eye(features.shape[0])
    return smooth + individual + (offset_sd**2)[:, None, None]
