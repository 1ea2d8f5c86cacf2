"""From a simulated value to what an experiment would find: a systematic gap, drawn once for every chemical family."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


class Gap(eqx.Module):
    """Experiment = factor x simulation + offset + what is left, with factor and offset shared by a family.

    Attributes:
        factor_low: least factor; drawn uniformly.
        factor_high: largest factor.
        offset_sd: of the offset, property's unit.
        residual_sd: of what differs between the materials of a family.
    """

    factor_low: float
    factor_high: float
    offset_sd: float = 0.0
    residual_sd: float = 0.0

    def experiment(
        self, simulated: Float[Array, " n"], family: Int[Array, " n"], key: PRNGKeyArray
    ) -> Float[Array, " n"]:
        """Return one draw of what experiments would find; families are counted from 0."""
        of_factor, of_offset, of_rest = jax.random.split(key, 3)
        shape = simulated.shape  # as many as there may be families
        factor = jax.random.uniform(of_factor, shape, minval=self.factor_low, maxval=self.factor_high)[family]
        offset = self.offset_sd * jax.random.normal(of_offset, shape)[family]
        return factor * simulated + offset + self.residual_sd * jax.random.normal(of_rest, shape)


# PBE band gaps are 30 to 50 % too low (Perdew 1985, 10.1002/qua.560280846), and its lattices 1 to 3 % too large.
GAPS = {
    "band_gap": Gap(1.0 / 0.7, 1.0 / 0.5, 0.0, 0.1),
    "lattice": Gap(1.0 / 1.03, 1.0 / 1.01),
    "formation_energy": Gap(0.9, 1.1, 0.03, 0.03),
}

# Of the metastable crystals that have been made, half lie within 15 meV/atom of the hull and nine in ten within 67
# (Sun et al. 2016, 10.1126/sciadv.1600225).
_HALF_EV, _WIDTH_EV, _FAMILY_SD_EV = 0.050, 0.015, 0.020


def forms(
    above_hull_ev: Float[Array, " n"], family: Int[Array, " n"], key: PRNGKeyArray
) -> tuple[Float[Array, " n"], Bool[Array, " n"]]:
    """Return for each material the probability that it can be made, and one draw of whether it can.

    Stability at 0 K is not synthesisability: how much energy above the hull a family tolerates is drawn.

    Args:
        above_hull_ev: energy above the hull, eV/atom.
        family: of each material, counted from 0.
        key: the same key, the same draw.
    """
    of_family, of_material = jax.random.split(key)
    tolerated = _HALF_EV + _FAMILY_SD_EV * jax.random.normal(of_family, above_hull_ev.shape)[family]
    probability = jax.nn.sigmoid((tolerated - jnp.maximum(above_hull_ev, 0.0)) / _WIDTH_EV)
    return probability, jax.random.uniform(of_material, above_hull_ev.shape) < probability
