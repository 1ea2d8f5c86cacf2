"""Which surrogate suits a ladder: recursive where its answers will be nested, joint otherwise."""

import numpy as np

from mfal.surrogate.base import AbstractSurrogate
from mfal.surrogate.joint import JointGP, joint_prior
from mfal.surrogate.recursive import FIRST_ROWS, recursive_surrogate
from mfal.types import Array, Float

# A source that costs at most this share of a later one, and repeats itself exactly, is asked before it: that keeps the
# answers nested, and the recursive surrogate exact, for next to nothing.
NEGLIGIBLE = 0.02


def nesting(price_eur: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return which fidelity (row) waits for which (column), as that is exact and costs next to nothing.

    Args:
        price_eur: of one query at each fidelity.
        noise: standard deviation or variance of its answers; only zero counts.
    """
    price = np.asarray(price_eur, dtype=float)
    return np.tri(len(price), k=-1, dtype=bool) & (np.asarray(noise) == 0.0) & (price <= NEGLIGIBLE * price[:, None])


def choose_surrogate(
    features: Float[Array, "n d"],
    typical_value: Float[Array, " L"],
    typical_spread: Float[Array, " L"],
    nested: np.ndarray,
    nonlinear: bool,
) -> AbstractSurrogate:
    """Return the surrogate before any data: recursive where the answers will be nested, joint otherwise.

    A nonlinear link is known to the recursive one alone.

    Args:
        features: standardised descriptors of the pool.
        typical_value: expected at each fidelity, in its unit.
        typical_spread: over the pool.
        nested: which fidelity waits for which, see `nesting`.
        nonlinear: the discrepancy may depend on the lower answer.
    """
    if nonlinear or np.all(nested == np.tri(len(nested), k=-1, dtype=bool)):
        return recursive_surrogate(features, typical_value, typical_spread, nonlinear)
    return joint_surrogate(features, typical_value, typical_spread)


def joint_surrogate(
    features: Float[Array, "n d"], typical_value: Float[Array, " L"], typical_spread: Float[Array, " L"]
) -> JointGP:
    """Return the coregionalised surrogate before any data."""
    prior = joint_prior(typical_value, typical_spread, features.shape[1], "lmc")
    return JointGP(features, prior, prior.mean, FIRST_ROWS)
