"""Integer formulas next to fractions: of all that have up to N atoms, or of those that keep a ratio of two groups.

At a given number of atoms the nearest counts are the floors, and one more for the largest remainders (Hamilton's
apportionment, which is least in every distance that is convex and separable); so trying every number is exact.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from mfal.errors import GenerationError

# Squared distances that count as equal; the smaller formula is then taken.
_TIE = 1e-12


def nearest_counts(fractions: Float[np.ndarray, "n d"], atoms: int) -> Int[np.ndarray, "n d"]:
    """Return the counts whose fractions are nearest to each row, among all formulas with 1 to `atoms` atoms.

    Raises:
        GenerationError: no atom is allowed, or a row is no composition.
    """
    return nearest_in_ratio(fractions, [list(range(fractions.shape[1]))], [1], atoms)


def nearest_in_ratio(
    fractions: Float[np.ndarray, "n d"], groups: Sequence[Sequence[int]], parts: Sequence[int], atoms: int
) -> Int[np.ndarray, "n d"]:
    """Return the nearest counts among the formulas whose groups of components have atoms in a fixed ratio.

    Args:
        fractions: a composition each row, in that ratio already (else each group is first scaled to its part).
        groups: columns of each group, all columns once.
        parts: of the ratio.
        atoms: the most that a formula may have.

    Raises:
        GenerationError: no such formula is small enough, or a row is no composition.
    """
    if atoms < sum(parts):
        raise GenerationError(f"formulas of {atoms=} cannot have the ratio {tuple(parts)}: allow {sum(parts)} at least")
    if not np.isfinite(fractions).all() or (fractions < 0.0).any() or not fractions.any(axis=1).all():
        raise GenerationError("fractions are negative, not finite or all zero: project them onto the simplex first")
    goal = fractions / fractions.sum(axis=1, keepdims=True)
    best, least = np.zeros(goal.shape, dtype=int), np.full(len(goal), np.inf)
    for units in range(1, atoms // sum(parts) + 1):
        counts = np.zeros(goal.shape, dtype=int)
        for columns, part in zip(groups, parts, strict=True):
            counts[:, columns] = apportioned(goal[:, columns], units * part)
        squared = ((counts / (units * sum(parts)) - goal) ** 2).sum(axis=1)
        nearer = squared < least - _TIE
        best[nearer], least[nearer] = counts[nearer], squared[nearer]
    return best


def apportioned(weights: Float[np.ndarray, "n m"], total: int) -> Int[np.ndarray, "n m"]:
    """Return whole numbers in proportion to weights, with the same sum in every row; without weights, all alike."""
    sums = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, sums, out=np.full(weights.shape, 1.0 / weights.shape[1]), where=sums > 0.0) * total
    counts = np.floor(shares).astype(int)
    short = total - counts.sum(axis=1)
    order = np.argsort(counts - shares, axis=1, kind="stable")
    rank = np.argsort(order, axis=1, kind="stable")
    return counts + (rank < short[:, None])
