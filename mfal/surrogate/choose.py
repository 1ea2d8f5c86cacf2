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
    noise: np.ndarray,
    nonlinear: bool,
) -> AbstractSurrogate:
    """Return the surrogate before any data: recursive where the lower answers are exact, joint otherwise.

    Scattered answers do not call for the joint one: over 50 drawn tasks at a twentieth of the target's price both
    spent the same (0.99 +- 0.05), the recursive one in half the time. A nonlinear link is known to that one alone.

    Args:
        features: standardised descriptors of the pool.
        typical_value: expected at each fidelity, in its unit.
        typical_spread: over the pool.
        noise: standard deviation or variance of the answers of each fidelity; only zero counts.
        nonlinear: the discrepancy may depend on the lower answer.
    """
    if nonlinear or not np.any(noise[:-1]):
        return recursive_surrogate(features, typical_value, typical_spread, nonlinear)
    return joint_surrogate(features, typical_value, typical_spread)


def joint_surrogate(
    features: Float[Array, "n d"], typical_value: Float[Array, " L"], typical_spread: Float[Array, " L"]
) -> JointGP:
    """Return the coregionalised surrogate before any data."""
    prior = joint_prior(typical_value, typical_spread, features.shape[1], "lmc")
    return JointGP(features, prior, prior.mean, FIRST_ROWS)
