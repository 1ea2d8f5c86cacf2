"""Neutral compositions from free parameters: the last layer of a generator that cannot leave charge balance.

Cations and anions share out by a softmax each. With Q+ and -Q- their mean states, the share of the cations
s = Q- / (Q+ + Q-) is the one that balances: s Q+ = (1 - s) Q-. Components without charge take theirs from the whole.
"""

from collections.abc import Collection, Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp

from mfal.constraints.oxidation import OxidationStates
from mfal.errors import ConstraintError
from mfal.types import Array, Float


def balanced(charge: Float[Array, "n d"], z: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Return fractions x with charge . x = 0 to rounding; a shift of all cations, or of all anions, changes nothing.

    Args:
        charge: a state for each component, at least one of either sign in a row.
        z: free parameters.
    """
    cations = jax.nn.softmax(z, axis=1, where=charge > 0.0)
    anions = jax.nn.softmax(z, axis=1, where=charge < 0.0)
    plus = jnp.sum(charge * cations, axis=1, keepdims=True)
    minus = -jnp.sum(charge * anions, axis=1, keepdims=True)
    charged = (minus * cations + plus * anions) / (plus + minus)
    # The charged components together have parameter zero in the share of the neutral ones.
    together = jax.nn.softmax(jnp.pad(jnp.where(charge == 0.0, z, -jnp.inf), ((0, 0), (1, 0))), axis=1)
    return together[:, :1] * charged + together[:, 1:]


@final
class BalancedHead(eqx.Module):
    """Neutral compositions of elements whose valence may be mixed.

    Attributes:
        least: least state of each element, of its one sign.
        greatest: greatest state.
    """

    least: Float[Array, " d"]
    greatest: Float[Array, " d"]

    @staticmethod
    def of(elements: Sequence[str], states: OxidationStates, cations: Collection[str]) -> "BalancedHead":
        """Build the head for elements that are cations if they are in `cations`, else anions.

        Raises:
            ConstraintError: an element has no state of its sign, or all are of one sign.
        """
        signed = [_signed(states.of(symbol), symbol, symbol in cations) for symbol in elements]
        if len({states[0] > 0 for states in signed}) != 2:
            raise ConstraintError(f"{list(elements)=} with {sorted(cations)=} have one sign: name cations and anions")
        return BalancedHead(
            jnp.array([float(min(states)) for states in signed]), jnp.array([float(max(states)) for states in signed])
        )

    def __call__(self, z: Float[Array, "n d"], valence: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return neutral fractions.

        Args:
            z: free parameters of the fractions.
            valence: free parameters of the mean states, which lie between least and greatest.
        """
        return balanced(self.charge(valence), z)

    def charge(self, valence: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Return the mean states for which the fractions are neutral."""
        return self.least + (self.greatest - self.least) * jax.nn.sigmoid(valence)


def _signed(states: tuple[int, ...], symbol: str, cation: bool) -> tuple[int, ...]:
    kept = tuple(state for state in states if (state > 0) == cation)
    if not kept:
        raise ConstraintError(f"{symbol=} has {states=}, none of them for {cation=}: correct the list of cations")
    return kept
