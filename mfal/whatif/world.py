"""What a simulated campaign finds where a live one asks its oracles."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp

from mfal.types import Array, Bool, Float, Int


class AbstractWorld(eqx.Module):
    """Answers queries at a time on the campaign's clock."""

    @abstractmethod
    def answer(
        self, candidate: Int[Array, " m"], fidelity: Int[Array, " m"], hours: Float[Array, ""]
    ) -> tuple[Float[Array, " m"], Bool[Array, " m"]]:
        """Return values in the property's unit, and which queries fail."""

    @abstractmethod
    def truth(self, target: int) -> Float[Array, " n"]:
        """Return what measurements at the target are about, free of their noise; NaN where none can succeed."""


class Table(AbstractWorld):
    """A world in which every answer is fixed beforehand: drawn, or replayed; worlds may be stacked for ``vmap``.

    Attributes:
        value: answers, noise included.
        mean: the same without noise.
        failed: queries that fail.
        by_day: what is added to the answers of a fidelity on each day, the last of which stays; None for nothing.
    """

    value: Float[Array, "*worlds n L"]
    mean: Float[Array, "*worlds n L"]
    failed: Bool[Array, "*worlds n L"]
    by_day: Float[Array, "*worlds days L"] | None = None

    @staticmethod
    def replay(values: Float[Array, "n L"]) -> "Table":
        """Return the world of recorded answers; NaN is a query that fails."""
        failed = ~jnp.isfinite(values)
        return Table(jnp.where(failed, 0.0, values), values, failed)

    def answer(
        self, candidate: Int[Array, " m"], fidelity: Int[Array, " m"], hours: Float[Array, ""]
    ) -> tuple[Float[Array, " m"], Bool[Array, " m"]]:
        """Return values in the property's unit, and which queries fail."""
        value, failed = self.value[candidate, fidelity], self.failed[candidate, fidelity]
        if self.by_day is None:
            return value, failed
        day = jnp.clip(hours // 24.0, 0, self.by_day.shape[0] - 1).astype(jnp.int32)
        return value + self.by_day[day, fidelity], failed

    def truth(self, target: int) -> Float[Array, " n"]:
        """Return the target's values without noise."""
        return jnp.where(self.failed[:, target], jnp.nan, self.mean[:, target])
