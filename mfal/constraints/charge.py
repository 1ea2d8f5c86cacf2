"""Charge balance of compositions: exact for fixed oxidation states, an interval where valence may be mixed.

With an average state anywhere between the least and the greatest of an element, fractions x can be neutral when
sum_i x_i least_i <= 0 <= sum_i x_i greatest_i. That is a relaxation of integer states: `oxidation.neutral_assignment`
decides formulas. An element that can be cation and anion gives one such pair of half-spaces for either sign.
"""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import final

import jax
import jax.numpy as jnp
import numpy as np

from mfal.constraints.base import AbstractProjection
from mfal.constraints.hyperplane import checked_normal, hyperplane_slack, projected, simplex_row
from mfal.constraints.oxidation import OxidationStates
from mfal.errors import ConstraintError
from mfal.types import Array, Float

# Sign patterns double with each element that can be cation and anion.
_MOST_PATTERNS = 256


@final
class ChargeBalance(AbstractProjection):
    """Neutrality with one state for each component.

    Attributes:
        charge: states, scaled to a largest one of 1.
    """

    charge: Float[Array, " d"]

    @staticmethod
    def of(elements: Sequence[str], states: Mapping[str, float]) -> "ChargeBalance":
        """Build the condition on fractions in the order of `elements`.

        Args:
            elements: one symbol a component.
            states: the state of each; an average such as 8/3 for the iron of magnetite may be given, zero is neutral.

        Raises:
            ConstraintError: a state is missing or not finite, or no composition is neutral.
        """
        missing = [symbol for symbol in elements if symbol not in states]
        if missing:
            raise ConstraintError(f"{missing=} have no oxidation state: give one for each element")
        charge = np.array([float(states[symbol]) for symbol in elements])
        return ChargeBalance(checked_normal(charge, f"charge balance of {list(elements)}"))

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return minus the distance to the neutral compositions, in units of a fraction."""
        return hyperplane_slack(self.charge, x)

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the nearest neutral fractions."""
        return projected(self.charge, x)


@final
class MixedValence(AbstractProjection):
    """Neutrality with an average state between the least and the greatest of each element.

    Attributes:
        least: of each sign pattern, scaled by the largest state of all.
        greatest: of each sign pattern, likewise.
    """

    least: Float[Array, "p d"]
    greatest: Float[Array, "p d"]

    @staticmethod
    def of(elements: Sequence[str], states: OxidationStates) -> "MixedValence":
        """Build the condition on fractions in the order of `elements`.

        Raises:
            ConstraintError: an element has no states, or no composition is neutral.
        """
        choices = [_ranges(states.of(symbol)) for symbol in elements]
        if np.prod([len(ranges) for ranges in choices]) > _MOST_PATTERNS:
            raise ConstraintError(f"{list(elements)=} have over {_MOST_PATTERNS} sign patterns: give fewer states")
        patterns = np.array(list(product(*choices)), dtype=float)
        possible = (patterns[..., 0].min(axis=1) < 0.0) & (patterns[..., 1].max(axis=1) > 0.0)
        if not possible.any():
            raise ConstraintError(
                f"{list(elements)=} have states {states.states} of one sign: add a counter-ion, or declare an alloy"
            )
        kept = patterns[possible] / np.abs(patterns[possible]).max()
        return MixedValence(jnp.asarray(kept[..., 0]), jnp.asarray(kept[..., 1]))

    def slack(self, x: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Return the distance to the nearer half-space's border, negative outside, of the most favourable pattern."""
        below = -(x @ self.least.T) / jnp.linalg.norm(self.least, axis=1)
        above = (x @ self.greatest.T) / jnp.linalg.norm(self.greatest, axis=1)
        return jnp.max(jnp.minimum(below, above), axis=1)

    def project(self, x: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the nearest fractions that can be neutral, over all patterns."""
        points = jax.vmap(lambda least, greatest: _between(least, greatest, x))(self.least, self.greatest)
        nearest = jnp.argmin(jnp.sum((points - x) ** 2, axis=-1), axis=0)
        return jnp.take_along_axis(points, nearest[None, :, None], axis=0)[0]


def _ranges(states: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return the least and the greatest state of either sign that the element has."""
    signs = [[state for state in states if state > 0], [state for state in states if state < 0]]
    return [(min(signed), max(signed)) for signed in signs if signed]


def _between(least: Float[Array, " d"], greatest: Float[Array, " d"], x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Return the nearest fractions with least . x <= 0 <= greatest . x.

    Fractions violate at most one of the two, because least <= greatest. If those nearest to x do, the answer lies on
    that one's hyperplane, and there the other one holds for the same reason.
    """
    free = jax.vmap(simplex_row)(x)
    return jnp.where(
        (free @ least > 0.0)[:, None],
        projected(least, x),
        jnp.where((free @ greatest < 0.0)[:, None], projected(greatest, x), free),
    )
