"""Kernels between the candidates of a pool, built from GPJax kernels with unconstrained parameters."""

from abc import abstractmethod
from functools import reduce

import equinox as eqx
import jax
import jax.numpy as jnp
from gpjax.kernels import Matern52
from paramax import Parameterize

from mfal.types import Array, Float, Int


def smooth_covariance(
    left: Float[Array, "a d"],
    right: Float[Array, "b d"],
    log_lengthscale: Float[Array, " d"],
    log_amplitude: Float[Array, ""],
) -> Float[Array, "a b"]:
    """Return the Matern-5/2 covariance with a length scale for each descriptor; the amplitude is a standard deviation.

    Source: Rasmussen and Williams 2006, eq. 4.17 (GPJax ``Matern52``).
    """
    profile = Matern52(variance=Parameterize(lambda value: jnp.exp(2.0 * value), log_amplitude))
    scale, origin = jnp.exp(-log_lengthscale), jnp.zeros(1)
    along = jax.vmap(jax.vmap(lambda distance: profile(origin, distance[None])))
    # Left to itself, XLA pulls the whole kernel into the transposition that a triangular solve begins with, and takes
    # minutes to compile that for a GPU.
    return jax.lax.optimization_barrier(along(_distances(left * scale, right * scale)))


def _distances(left: Float[Array, "a d"], right: Float[Array, "b d"]) -> Float[Array, "a b"]:
    """Return Euclidean distances by a matrix product, three times as fast on a GPU as pair by pair.

    What cancels is lost from the square, to which the covariance is linear at the origin: rounding stays rounding.
    """
    square = jnp.sum(left**2, axis=1)[:, None] + jnp.sum(right**2, axis=1) - 2.0 * left @ right.T
    return jnp.sqrt(jnp.maximum(square, _COINCIDENT))


# Square of a distance that counts as none; keeps the gradient of the root finite.
_COINCIDENT = 1e-36


class AbstractPoolKernel(eqx.Module):
    """Prior covariance between points that are named by their index."""

    @abstractmethod
    def cross(self, rows: Int[Array, " r"], columns: Int[Array, " c"] | None = None) -> Float[Array, "r c"]:
        """Return the covariance between points; with every point where `columns` is None."""

    @abstractmethod
    def diagonal(self) -> Float[Array, " points"]:
        """Return the prior variance of every point."""


class SmoothAndIndividual(AbstractPoolKernel):
    """A part that is smooth in the descriptors plus a part of its own for every candidate.

    The second is a property of the material that its descriptors cannot explain: it is not noise, and two measurements
    of one candidate share it.

    Attributes:
        features: descriptors of the pool, standardised.
        log_lengthscale: one a descriptor.
        log_amplitude: standard deviation of the smooth part.
        log_individual: standard deviation of the other.
    """

    features: Float[Array, "n d"]
    log_lengthscale: Float[Array, " d"]
    log_amplitude: Float[Array, ""]
    log_individual: Float[Array, ""]

    def cross(self, rows: Int[Array, " r"], columns: Int[Array, " c"] | None = None) -> Float[Array, "r c"]:
        """Return the covariance between candidates."""
        columns = jnp.arange(self.features.shape[0]) if columns is None else columns
        smooth = self.smooth(self.features[rows], self.features[columns])
        return smooth + jnp.exp(2.0 * self.log_individual) * (rows[:, None] == columns)

    def smooth(self, left: Float[Array, "a d"], right: Float[Array, "b d"]) -> Float[Array, "a b"]:
        """Return the covariance of the smooth part between two sets of descriptors."""
        return smooth_covariance(left, right, self.log_lengthscale, self.log_amplitude)

    def diagonal(self) -> Float[Array, " n"]:
        """Return the prior variance of every candidate."""
        variance = jnp.exp(2.0 * self.log_amplitude) + jnp.exp(2.0 * self.log_individual)
        return jnp.full(self.features.shape[0], variance)


class Sum(AbstractPoolKernel):
    """Sum of kernels on the same points: of parts that are independent.

    Attributes:
        parts: the kernels, such as one on composition and one on an embedding.
    """

    parts: tuple[AbstractPoolKernel, ...]

    def cross(self, rows: Int[Array, " r"], columns: Int[Array, " c"] | None = None) -> Float[Array, "r c"]:
        """Return the covariance between points."""
        return reduce(jnp.add, [part.cross(rows, columns) for part in self.parts])

    def diagonal(self) -> Float[Array, " points"]:
        """Return the prior variance of every point."""
        return reduce(jnp.add, [part.diagonal() for part in self.parts])


class Product(AbstractPoolKernel):
    """Product of kernels on the same points: alike only where all parts find them alike (Schur product).

    Attributes:
        parts: the kernels.
    """

    parts: tuple[AbstractPoolKernel, ...]

    def cross(self, rows: Int[Array, " r"], columns: Int[Array, " c"] | None = None) -> Float[Array, "r c"]:
        """Return the covariance between points."""
        return reduce(jnp.multiply, [part.cross(rows, columns) for part in self.parts])

    def diagonal(self) -> Float[Array, " points"]:
        """Return the prior variance of every point."""
        return reduce(jnp.multiply, [part.diagonal() for part in self.parts])
