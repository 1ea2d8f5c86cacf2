"""Where hidden truths come from; one pure draw serves a live simulated laboratory and the worlds of a what-if study."""

from abc import abstractmethod

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from physics.experiment.emulator import Emulator
from physics.experiment.gap import Gap
from physics.experiment.labusch import Elements, hardness_hv


class AbstractTruth(eqx.Module):
    """A distribution over what the materials of a pool really are."""

    @abstractmethod
    def draw(self, count: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return truths, in the property's unit; the same key, the same truths."""


class Replayed(AbstractTruth):
    """Measured values, known: a replay."""

    value: Float[Array, " n"]

    def draw(self, count: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return the measured values every time."""
        return jnp.broadcast_to(self.value, (count, *self.value.shape))


class Emulated(AbstractTruth):
    """Draws from a process fitted to measured data.

    Attributes:
        emulator: fitted.
        features: of the pool, standardised as the emulator's.
    """

    emulator: Emulator
    features: Float[Array, "n d"]

    def draw(self, count: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return joint draws given the data."""
        return self.emulator.worlds(self.features, count, key)


class SolidSolution(AbstractTruth):
    """A physics model whose elemental strengths and moduli are known to a few percent only.

    Attributes:
        fractions: of the pool.
        elements: tabulated properties.
        share_sd: of the elemental values, as a share.
    """

    fractions: Float[Array, "n e"]
    elements: Elements
    share_sd: float = 0.05

    def draw(self, count: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return the model's hardness with elemental values drawn around the tabulated ones."""

        def world(key: PRNGKeyArray) -> Array:
            hardness, shear = 1.0 + self.share_sd * jax.random.normal(key, (2, self.fractions.shape[1]))
            table = self.elements
            return hardness_hv(
                self.fractions, Elements(hardness * table.hardness_hv, shear * table.shear_gpa, table.radius_angstrom)
            )

        return jax.vmap(world)(jax.random.split(key, count))


class WithGap(AbstractTruth):
    """A simulated value with a systematic gap to the experiment.

    Attributes:
        simulated: by DFT or a potential.
        family: of each material, counted from 0.
        gap: distribution of the gap.
    """

    simulated: Float[Array, " n"]
    family: Int[Array, " n"]
    gap: Gap

    def draw(self, count: int, key: PRNGKeyArray) -> Float[Array, "count n"]:
        """Return draws of what experiments would find."""
        keys = jax.random.split(key, count)
        return jax.vmap(lambda key: self.gap.experiment(self.simulated, self.family, key))(keys)
