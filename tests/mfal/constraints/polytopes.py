"""Polytopes for the tests, the matrices of their declared conditions, and an independent projection."""

import numpy as np
import pytest
from scipy.linalg import null_space
from scipy.optimize import nnls

from mfal.constraints.linear import Bounds, LinearEquality, LinearInequality
from mfal.constraints.polytope import Polytope

SITES = ("Ba", "Sr", "Ca", "Ti", "Zr", "Sn", "O", "N")
ALLOY = ("Fe", "Co", "Ni", "Cr", "Mn")
MANY = tuple(f"X{i}" for i in range(15))
# How many random designs are checked: a million takes minutes over all sets.
FEW_AND_MANY = [100_000, pytest.param(1_000_000, marks=pytest.mark.slow)]

DECLARED = {
    "simplex": (ALLOY, [LinearEquality.group(ALLOY, ALLOY)]),
    "bounded": (
        ALLOY,
        [
            Bounds.between(ALLOY, {"Fe": 0.1, "Co": 0.05}, {"Fe": 0.35, "Ni": 0.3, "Mn": 0.4}),
            LinearEquality.group(ALLOY, ALLOY),
        ],
    ),
    "fifteen": (
        MANY,
        [
            Bounds.between(MANY, dict.fromkeys(MANY, 0.02), {n: 0.1 + 0.02 * i for i, n in enumerate(MANY)}),
            LinearEquality.group(MANY, MANY),
        ],
    ),
    "sites": (
        SITES,
        [
            Bounds.between(SITES, {"O": 2.5}, {"Ba": 0.7, "N": 0.5}),
            LinearEquality.group(SITES, SITES[:3]),
            LinearEquality.group(SITES, SITES[3:6]),
            LinearEquality.group(SITES, SITES[6:], 3.0),
        ],
    ),
    "inequalities": (
        MANY,
        [
            Bounds.between(MANY, {"X0": 0.05}, dict.fromkeys(MANY, 0.3)),
            LinearEquality.group(MANY, MANY),
            LinearInequality.at_most(MANY, {"X0": 1.0, "X1": 1.0, "X2": 1.0}, 0.25),
            LinearInequality.at_least(MANY, {n: float(i) for i, n in enumerate(MANY)}, 8.0),
            LinearInequality.at_least(MANY, {"X3": 1.0, "X4": -1.0}, 0.0),
        ],
    ),
    "charge": (
        ALLOY,
        [
            LinearEquality.group(ALLOY, ALLOY),
            LinearEquality.of(ALLOY, {"Fe": 3.0, "Co": 2.0, "Ni": 2.0, "Cr": -3.0, "Mn": -2.0}, 0.0),
        ],
    ),
}


def polytope(name):
    return Polytope.of(*DECLARED[name])


def matrices(name):
    """Return inequalities W x >= b and equalities E x = e as declared, without the code under test."""
    names, conditions = DECLARED[name]
    lower, upper = np.zeros(len(names)), np.full(len(names), np.inf)
    rows, values, equal, totals = [], [], [], []
    for condition in conditions:
        if isinstance(condition, Bounds):
            lower, upper = np.maximum(lower, condition.lower), np.minimum(upper, condition.upper)
        elif isinstance(condition, LinearEquality):
            equal, totals = [*equal, condition.weights], [*totals, condition.total]
        else:
            rows, values = [*rows, condition.weights], [*values, condition.bound]
    bounded, unit = np.isfinite(upper), np.eye(len(names))
    rows = np.concatenate([np.reshape(rows, (-1, len(names))), unit, -unit[bounded]])
    return rows, np.concatenate([values, lower, -upper[bounded]]), np.array(equal), np.array(totals)


def nearest(x, rows, values, equal, totals):
    """Return the projection of one point by least-distance programming (Lawson and Hanson 1974, ch. 23)."""
    basis, anchor = null_space(equal), np.linalg.lstsq(equal, totals)[0]
    z = basis.T @ (x - anchor)
    normals = rows @ basis
    gaps = values - rows @ anchor - normals @ z
    found = nnls(np.vstack([normals.T, gaps]), np.append(np.zeros(len(z)), 1.0), maxiter=1000)[0]
    residual = np.append(normals.T @ found, gaps @ found - 1.0)
    return anchor + basis @ (z - residual[:-1] / residual[-1])
