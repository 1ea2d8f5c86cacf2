"""The affine hull of a polytope, and a point well inside: host-side linear algebra, once a polytope.

An inequality that no feasible point satisfies strictly is an equality in disguise: sampling needs it as one, because a
direction of zero width stops every chain.
"""

from collections.abc import Sequence

import numpy as np
from scipy.linalg import null_space

from mfal.constraints.conflict import SAME, Row, best
from mfal.errors import ConstraintError

# Rows whose norm within the hull is below this are constant on it.
_CONSTANT = 1e-10
_STEPS = 60


def independent(rows: Sequence[Row]) -> list[Row]:
    """Return equalities without those that follow from others; the shortest are kept, groups before their union."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: np.count_nonzero(row.weights)):
        basis = (
            np.linalg.qr(np.array([other.weights for other in kept]).T)[0] if kept else np.zeros((len(row.weights), 0))
        )
        unit = row.weights / np.linalg.norm(row.weights)
        if np.linalg.norm(unit - basis @ (basis.T @ unit)) > SAME:
            kept.append(row)
    return [row for row in rows if any(row is other for other in kept)]


def needed(rows: Sequence[Row], beside: Sequence[Row]) -> list[Row]:
    """Return inequalities without those that follow from the others and from `beside`."""
    kept = list(rows)
    for row in rows:
        others = [*beside, *(other for other in kept if other is not row)]
        if -best(others, -row.weights)[0] >= row.value - SAME * np.linalg.norm(row.weights):
            kept = [other for other in kept if other is not row]
    return kept


def tight(rows: Sequence[Row]) -> list[Row]:
    """Return the equalities in disguise among feasible rows, as equalities."""
    open_ = [row for row in rows if not row.equal]
    if not open_ or chebyshev(rows)[0] > 100.0 * SAME:
        return []
    room = [(best(rows, row.weights)[0] - row.value) / np.linalg.norm(row.weights) for row in open_]
    found = [row for row, width in zip(open_, room, strict=True) if width <= SAME]
    return [Row(row.weights, row.value, True, row.text) for row in found]


def hull(rows: Sequence[Row], size: int) -> np.ndarray:
    """Return an orthonormal basis of the directions along equalities, shape (d, k)."""
    fixed = [row.weights / np.linalg.norm(row.weights) for row in rows if row.equal]
    basis = null_space(np.array(fixed)) if fixed else np.eye(size)
    # Components that cannot move do not, not even by rounding.
    return np.where(np.linalg.norm(basis, axis=1, keepdims=True) > _CONSTANT, basis, 0.0)


def faces(rows: Sequence[Row], basis: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return unit normals within the hull, shape (f, k), and signed distances from the centre, shape (f,)."""
    open_ = [row for row in rows if not row.equal]
    weights = np.array([row.weights for row in open_]).reshape(-1, basis.shape[0])
    values = np.array([row.value for row in open_]) - weights @ centre
    norms = np.linalg.norm(weights @ basis, axis=1)
    moving = norms > _CONSTANT * np.maximum(np.linalg.norm(weights, axis=1), _CONSTANT)
    return (weights @ basis)[moving] / norms[moving, None], values[moving] / norms[moving]


def chebyshev(rows: Sequence[Row]) -> tuple[float, np.ndarray]:
    """Return radius and centre of a largest ball in the hull of the equalities that meets every inequality.

    Raises:
        ConstraintError: rounding decides whether there is any point.
    """
    size = rows[0].weights.shape[0]
    basis = hull(rows, size)
    reach = [0.0 if row.equal else float(np.linalg.norm(row.weights @ basis)) for row in rows]
    lifted = [
        Row(np.append(row.weights, -norm if norm > _CONSTANT else 0.0), row.value, row.equal, row.text)
        for row, norm in zip(rows, reach, strict=True)
    ]
    limit = Row(np.append(np.zeros(size), -1.0), -1.0, False, "radius <= 1")
    radius, centre = best([*lifted, limit], np.append(np.zeros(size), 1.0))
    if centre is None:  # the builder has checked that they do not exclude each other, up to rounding
        told = "; ".join(row.text for row in rows if np.count_nonzero(row.weights) > 1)
        raise ConstraintError(f"rounding decides whether any design satisfies {told}: make one of them an equality")
    return radius, centre[:size]


def analytic_centre(basis: np.ndarray, start: np.ndarray, rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Return the maximum of the product of all slacks, and directions in which the polytope is about round.

    Damped Newton; the directions are hull H^(-1/2) with H the Hessian of -sum log slack there, shape (d, k).
    Source: Boyd and Vandenberghe 2004, sec. 8.5.3.
    """
    normals, offsets = faces(rows, basis, start)
    z, hessian = np.zeros(basis.shape[1]), np.eye(basis.shape[1])
    for _ in range(_STEPS if len(offsets) else 0):
        scaled = normals / (normals @ z - offsets)[:, None]
        hessian = scaled.T @ scaled
        step = np.linalg.solve(hessian, scaled.sum(axis=0))
        decrement = np.sqrt(max(scaled.sum(axis=0) @ step, 0.0))
        z = z + step / (1.0 + decrement) if decrement > 0.25 else z + step
    values, vectors = np.linalg.eigh(hessian)
    return start + basis @ z, basis @ (vectors / np.sqrt(values))
