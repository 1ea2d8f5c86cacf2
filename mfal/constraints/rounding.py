"""The nearest integer formula of bounded size that is neutral and keeps given ratios.

All formulas of up to N atoms of d elements number (N + d choose d): few enough to try every one, once. Interval bounds
on the charge leave some; for these the sums that integer states can reach are the bits of a Python integer, which grow
by a shift for each atom, so that Fe3O4 passes and an odd number of Au+2 made of Au+ and Au3+ does not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import comb

import numpy as np
from jaxtyping import Float, Int

from mfal.constraints.oxidation import Alloy, Charge, OxidationStates
from mfal.constraints.stoichiometry import Ratio
from mfal.errors import ConstraintError
from mfal.space.formula import Formula

# 8 elements and 12 atoms, or 5 and 40.
_MOST_FORMULAS = 2_000_000
# Fractions compared at once, and squared distances that count as equal.
_BLOCK, _TIE = 2**22, 1e-12


@dataclass(frozen=True)
class IntegerFormulas:
    """Every integer formula that satisfies the conditions, one for each composition.

    Attributes:
        elements: symbols, in the order of the columns.
        counts: atoms, shape (formulas, elements), the smallest formulas first.
    """

    elements: tuple[str, ...]
    counts: Int[np.ndarray, "m d"]

    @staticmethod
    def of(elements: Sequence[str], charge: Charge, ratios: Sequence[Ratio], atoms: int) -> "IntegerFormulas":
        """Enumerate the formulas.

        Args:
            elements: which may occur; none must.
            charge: states of which integer ones must balance, or the declaration of an alloy.
            ratios: conditions on fractions in the order of `elements`.
            atoms: the most that a formula may have.

        Raises:
            ConstraintError: the enumeration would be too long, or nothing satisfies the conditions.
        """
        number = comb(atoms + len(elements), len(elements)) - 1 if atoms > 0 else 0
        if not 0 < number <= _MOST_FORMULAS:
            raise ConstraintError(f"{atoms=} of {len(elements)=} give {number=} formulas: allow 1 to {_MOST_FORMULAS}")
        counts = _lattice(len(elements), atoms)
        for ratio in ratios:
            counts = counts[np.abs(counts @ np.asarray(ratio.normal)) < 1e-9]
        counts = _smallest(_balanced(counts, elements, charge))
        if not len(counts):
            raise ConstraintError(
                f"no formula of {list(elements)} with up to {atoms=} fits: allow more atoms or states"
            )
        return IntegerFormulas(tuple(elements), counts)

    def nearest(self, fractions: Float[np.ndarray, "n d"]) -> Int[np.ndarray, "n d"]:
        """Return the atoms of the formula nearest to each row of fractions, the smaller one of two equally near.

        Raises:
            ConstraintError: a fraction is negative or not finite, or a row is all zeros.
        """
        if not np.isfinite(fractions).all() or (fractions < 0.0).any() or not fractions.any(axis=1).all():
            raise ConstraintError("fractions are negative, not finite or all zero: project them onto the simplex first")
        goal = fractions / fractions.sum(axis=1, keepdims=True)
        shares = self.counts / self.counts.sum(axis=1, keepdims=True)
        rows = max(1, _BLOCK // len(shares))
        return np.concatenate(
            [self.counts[_first_nearest(goal[k : k + rows], shares)] for k in range(0, len(goal), rows)]
        )

    def formula(self, fractions: Float[np.ndarray, " d"]) -> Formula:
        """Return the formula nearest to some fractions."""
        counts = self.nearest(fractions[None])[0].tolist()
        return Formula(dict(zip(self.elements, counts, strict=True)))


def _first_nearest(goal: Float[np.ndarray, "n d"], shares: Float[np.ndarray, "m d"]) -> Int[np.ndarray, " n"]:
    """Return the first of the nearest rows; that of the goal itself is common to all and left out."""
    squared = (shares**2).sum(axis=1) - 2.0 * goal @ shares.T
    return np.argmax(squared <= squared.min(axis=1, keepdims=True) + _TIE, axis=1)


def _lattice(elements: int, atoms: int) -> Int[np.ndarray, "m d"]:
    """Return all counts with a sum between one and `atoms`."""
    counts, left = np.zeros((1, 0), dtype=int), np.array([atoms])
    for _ in range(elements):
        repeats = left + 1
        first = np.repeat(np.cumsum(repeats) - repeats, repeats)
        chosen = np.arange(repeats.sum()) - first
        counts = np.column_stack([np.repeat(counts, repeats, axis=0), chosen])
        left = np.repeat(left, repeats) - chosen
    return counts[1:]


def _smallest(counts: Int[np.ndarray, "m d"]) -> Int[np.ndarray, "k d"]:
    """Return the smallest formula of each composition; 2 AuO may be neutral where AuO is not."""
    ordered = counts[np.argsort(counts.sum(axis=1), kind="stable")]
    reduced = ordered // np.maximum(np.gcd.reduce(ordered, axis=1, keepdims=True), 1)
    return ordered[np.sort(np.unique(reduced, axis=0, return_index=True)[1])]


def _balanced(counts: Int[np.ndarray, "m d"], elements: Sequence[str], charge: Charge) -> Int[np.ndarray, "k d"]:
    if isinstance(charge, Alloy):
        charge.check(elements)
        return counts
    least = np.array([charge.of(symbol)[0] for symbol in elements])
    greatest = np.array([charge.of(symbol)[-1] for symbol in elements])
    possible = counts[(counts @ least <= 0) & (counts @ greatest >= 0)]
    offset = int(np.abs([least, greatest]).max())
    sums = [_reachable(charge, symbol, int(counts.max(initial=0)), offset) for symbol in elements]
    kept = np.fromiter(_neutral(possible, sums, offset), dtype=bool, count=len(possible))
    return possible[kept]


def _reachable(charge: OxidationStates, symbol: str, most: int, offset: int) -> list[list[int]]:
    """Return the sums of 0 to `most` states of one sign, each state raised by `offset`."""
    states = charge.of(symbol)
    masks = [[1], [1]]
    for grown, signed in zip(masks, ([s for s in states if s > 0], [s for s in states if s < 0]), strict=True):
        for _ in range(most):
            mask = 0
            for state in signed:
                mask |= grown[-1] << (state + offset)
            grown.append(mask)
    both = [up | down for up, down in zip(*masks, strict=True)]
    return [[bit for bit in range(mask.bit_length()) if mask >> bit & 1] for mask in both]


def _neutral(counts: Int[np.ndarray, "m d"], sums: list[list[list[int]]], offset: int) -> Iterator[bool]:
    """Yield whether each row can be neutral; rows that begin alike lie together and share what they have reached."""
    prefix: list[int] = []
    reached = [1]
    for row in counts.tolist():
        same = next((k for k, (old, new) in enumerate(zip(prefix, row[:-1], strict=False)) if old != new), len(prefix))
        prefix, reached = row[:-1], reached[: same + 1]
        for number, table in zip(row[same:-1], sums[same:-1], strict=True):
            mask = 0
            for bit in table[number]:
                mask |= reached[-1] << bit
            reached.append(mask)
        neutral = offset * sum(row)
        yield any(reached[-1] >> (neutral - bit) & 1 for bit in sums[-1][row[-1]] if bit <= neutral)
