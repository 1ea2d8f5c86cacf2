"""Last layers of a composition decoder: free numbers in, fractions out, with more or less built in.

A head has two readings. `outputs` is what training compares with data: differentiable, and possibly no composition.
`fractions` is what is deployed: non-negative, with a sum of one.
"""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from mfal.constraints.charge_head import BalancedHead
from mfal.constraints.ilr import LogRatios
from mfal.constraints.oxidation import OxidationStates
from mfal.errors import GenerationError
from mfal.types import Array, Float


class AbstractHead(eqx.Module):
    """Turns free numbers into fractions."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Free numbers that it takes."""

    @abstractmethod
    def outputs(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return what is compared with the fractions of data."""

    @abstractmethod
    def fractions(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return the fractions that are deployed."""


@final
class FreeHead(AbstractHead):
    """One free number a component, clipped and divided by its sum afterwards: the usual baseline.

    Attributes:
        components: of a composition.
    """

    components: int = eqx.field(static=True)

    @property
    def width(self) -> int:
        """One number a component."""
        return self.components

    def outputs(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return the numbers as they are."""
        return z

    def fractions(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return the numbers clipped and divided by their sum; where none is positive, all is the largest one's."""
        largest = jnp.arange(self.components) == jnp.argmax(z, axis=1)[:, None]
        positive = jnp.where(jnp.any(z > 0.0, axis=1)[:, None], jnp.maximum(z, 0.0), largest)
        return positive / jnp.sum(positive, axis=1, keepdims=True)


@final
class SimplexHead(AbstractHead):
    """A softmax, less its redundant direction: the sum is one by construction.

    Attributes:
        shares: coordinates of the simplex.
    """

    shares: LogRatios

    @staticmethod
    def of(components: int) -> "SimplexHead":
        """Return the head for some components."""
        return SimplexHead(LogRatios.between([range(components)], [1.0]))

    @property
    def width(self) -> int:
        """One number less than components."""
        return self.shares.basis.shape[1]

    def outputs(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return the fractions."""
        return self.shares.designs(z)

    def fractions(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return the fractions."""
        return self.shares.designs(z)


@final
class StoichiometryHead(AbstractHead):
    """Two heads: how the elements of either group share it, and which of the declared ratios the groups have.

    A fixed ratio takes no number at all. Of several, training sees the expected one and deployment has the likeliest.

    Attributes:
        shares: coordinates of two simplices, of the first and the second group.
        second: which components are of the second group.
        parts: first share of the atoms in each ratio.
    """

    shares: LogRatios
    second: Float[Array, " d"]
    parts: Float[Array, " r"]

    @staticmethod
    def of(
        elements: Sequence[str], first: Collection[str], ratios: Sequence[tuple[int, int]] = ((1, 2),)
    ) -> "StoichiometryHead":
        """Return the head for elements of which `first` are to all the others as one of `ratios`.

        Raises:
            GenerationError: a group is empty, or a ratio is missing or not positive.
        """
        columns = [[i for i, symbol in enumerate(elements) if (symbol in first) == own] for own in (True, False)]
        if not all(columns) or not set(first) <= set(elements):
            raise GenerationError(f"{sorted(first)} to the rest of {list(elements)} is no ratio: name two groups")
        if not ratios or min(part for ratio in ratios for part in ratio) < 1:
            raise GenerationError(f"{ratios=}: give at least one pair of whole numbers from 1 on")
        shares = LogRatios.between(columns, [1.0, 1.0])
        second = jnp.asarray(np.isin(np.arange(len(elements)), columns[1]), jnp.float64)
        return StoichiometryHead(shares, second, jnp.array([a / (a + b) for a, b in ratios]))

    @property
    def width(self) -> int:
        """Two numbers less than components, and one for each of several ratios."""
        return self.shares.basis.shape[1] + (len(self.parts) if len(self.parts) > 1 else 0)

    def outputs(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return fractions of the expected ratio."""
        return self._shared(z, jax.nn.softmax(self._ratios(z), axis=1) @ self.parts)

    def fractions(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return fractions of the likeliest ratio."""
        return self._shared(z, self.parts[jnp.argmax(self._ratios(z), axis=1)])

    def _ratios(self, z: Float[Array, "n w"]) -> Float[Array, "n r"]:
        return z[:, self.shares.basis.shape[1] :] if len(self.parts) > 1 else jnp.zeros((z.shape[0], 1))

    def _shared(self, z: Float[Array, "n w"], part: Float[Array, " n"]) -> Float[Array, "n d"]:
        within = self.shares.designs(z[:, : self.shares.basis.shape[1]])
        return within * jnp.where(self.second == 1.0, 1.0 - part[:, None], part[:, None])


@final
class NeutralHead(AbstractHead):
    """Fractions that are neutral with mean oxidation states, which are free between the least and the greatest.

    Attributes:
        balanced: charge balance by construction.
    """

    balanced: BalancedHead

    @staticmethod
    def of(elements: Sequence[str], states: OxidationStates, cations: Collection[str]) -> "NeutralHead":
        """Return the head for elements that are cations if they are in `cations`, else anions."""
        return NeutralHead(BalancedHead.of(elements, states, cations))

    @property
    def width(self) -> int:
        """Two numbers a component: its share and its state."""
        return 2 * self.balanced.least.shape[0]

    def outputs(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return the fractions."""
        return self.balanced(*jnp.split(z, 2, axis=1))

    def fractions(self, z: Float[Array, "n w"]) -> Float[Array, "n d"]:
        """Return the fractions."""
        return self.outputs(z)
