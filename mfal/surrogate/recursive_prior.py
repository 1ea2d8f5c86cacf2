"""Hyper-parameters of recursive co-kriging and what is believed of them before any data."""

import equinox as eqx
import jax.numpy as jnp

from mfal.types import Array, Float


class Parameters(eqx.Module):
    """Hyper-parameters of every level as stored, all logarithms; read only in `RecursiveGP._kernel`.

    Attributes:
        log_lengthscale: of g_l, in standardised descriptor units; the last ones are of the answers below, in spreads.
        log_amplitude: standard deviation of g_l.
        log_individual: standard deviation of e_l.
    """

    log_lengthscale: Float[Array, "L D"]
    log_amplitude: Float[Array, " L"]
    log_individual: Float[Array, " L"]

    def vector(self, level: int) -> Float[Array, " p"]:
        """Return those of one level: length scales, amplitude, individual."""
        return jnp.concatenate(
            [self.log_lengthscale[level], self.log_amplitude[level, None], self.log_individual[level, None]]
        )

    def with_vector(self, level: int, vector: Float[Array, " p"]) -> "Parameters":
        """Return the parameters with others at one level."""
        return Parameters(
            self.log_lengthscale.at[level].set(vector[:-2]),
            self.log_amplitude.at[level].set(vector[-2]),
            self.log_individual.at[level].set(vector[-1]),
        )


class Prior(eqx.Module):
    """What is believed before any data; independent normals.

    Attributes:
        mean: centre of the hyper-parameters.
        sd: their standard deviations.
        typical_value: c_l, also the centre of b_l, in the unit of fidelity l.
        typical_spread: over the pool, same unit.
        level_sd: of b_l.
        slope_mean: of rho_lj as [l, j]; zero for j >= l.
        slope_sd: same shape.
    """

    mean: Parameters
    sd: Parameters
    typical_value: Float[Array, " L"]
    typical_spread: Float[Array, " L"]
    level_sd: Float[Array, " L"]
    slope_mean: Float[Array, "L L"]
    slope_sd: Float[Array, "L L"]


def default_prior(
    typical_value: Float[Array, " L"], typical_spread: Float[Array, " L"], features: int, nonlinear: bool = False
) -> Prior:
    """Return a weakly informative prior in units of each fidelity's spread over the pool.

    A cheap source is expected to resemble those after it (slope .8 on the nearest and 0 on the others, their sum +- .6,
    in spreads), up to an offset of half a spread. What it does not share is believed to be what the target would be
    without it, so that a source that says nothing costs nothing; the data may say otherwise.
    """
    size = typical_spread.shape[0]
    first = jnp.arange(size) == 0
    width = features + (size - 1 if nonlinear else 0)
    lengthscale = jnp.full(width, 0.5 * jnp.log(1.0 * features)).at[features:].set(jnp.log(2.0))
    spread = jnp.log(typical_spread)
    mean = Parameters(
        log_lengthscale=jnp.broadcast_to(lengthscale, (size, width)),
        log_amplitude=spread,
        log_individual=spread + jnp.log(0.3),
    )
    sd = Parameters(jnp.full((size, width), 0.8), jnp.full(size, 0.7), jnp.full(size, 0.9))
    ratio = typical_spread[:, None] / typical_spread
    return Prior(
        mean=mean,
        sd=sd,
        typical_value=jnp.asarray(typical_value, dtype=jnp.float64),
        typical_spread=jnp.asarray(typical_spread, dtype=jnp.float64),
        level_sd=typical_spread * jnp.where(first, 1.0, 0.5),
        slope_mean=0.8 * ratio * jnp.eye(size, k=-1),
        slope_sd=0.6 * ratio * jnp.tri(size, k=-1) / jnp.sqrt(jnp.maximum(jnp.arange(size), 1))[:, None],
    )
