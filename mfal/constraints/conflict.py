"""Linear programs over declared conditions: the best value of a sum, and which conditions cannot hold together."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import OptimizeResult, linprog

# What HiGHS is asked for, and the distance (in units of a fraction) below which two values are one.
_SOLVER = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Row:
    """One linear condition: weights.x >= value, or = value.

    Attributes:
        weights: shape (d,).
        value: right-hand side.
        equal: whether the sum is fixed.
        text: the condition as people write it.
    """

    weights: np.ndarray
    value: float
    equal: bool
    text: str


def best(rows: Sequence[Row], gain: np.ndarray) -> tuple[float, np.ndarray | None]:
    """Return the greatest gain.x under the rows and where it is: -inf if nothing is feasible, inf without a limit."""
    found = _solve(rows, gain)
    if found.status == 2:
        return -np.inf, None
    if found.status in (3, 4):
        # HiGHS may stop at "infeasible or unbounded"; whether anything is feasible tells which.
        return (np.inf, None) if _solve(rows, np.zeros_like(gain)).status == 0 else (-np.inf, None)
    return -float(found.fun), np.asarray(found.x)


def conflict(rows: Sequence[Row]) -> list[Row]:
    """Return conditions that cannot hold together, each of them needed for that; none if all can.

    Source: the deletion filter of Chinneck and Dravnieks 1991 (ORSA J. Comput. 3, 157).
    """
    left = list(rows)
    if _possible(left):
        return []
    for row in list(rows):
        without = [other for other in left if other is not row]
        if not _possible(without):
            left = without
    return left


def reaches(rows: Sequence[Row], row: Row) -> str:
    """Return how far a condition can be met under others: "A >= 0.9 (at most 0.8 is possible)"."""
    others = [other for other in rows if other is not row]
    most, least = best(others, row.weights)[0], -best(others, -row.weights)[0]
    if "<=" in row.text:
        return f"{row.text} (at least {-most:.6g} is needed)"
    nearest = most if row.value > most else least
    return f"{row.text} (at {'most' if nearest == most else 'least'} {nearest:.6g} is possible)"


def _possible(rows: Sequence[Row]) -> bool:
    return not rows or _solve(rows, np.zeros(rows[0].weights.shape[0])).status == 0


def _solve(rows: Sequence[Row], gain: np.ndarray) -> OptimizeResult:
    fixed, open_ = [row for row in rows if row.equal], [row for row in rows if not row.equal]
    return linprog(
        -gain,
        A_ub=-np.array([row.weights for row in open_]) if open_ else None,
        b_ub=-np.array([row.value for row in open_]) if open_ else None,
        A_eq=np.array([row.weights for row in fixed]) if fixed else None,
        b_eq=np.array([row.value for row in fixed]) if fixed else None,
        bounds=(None, None),
        method="highs",
        options=_SOLVER,
    )
