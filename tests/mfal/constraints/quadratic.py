"""Projections by SciPy, and points to project."""

import numpy as np
from scipy.optimize import minimize


def by_slsqp(normal, y):
    """Solve the quadratic programme with SciPy."""
    ones = np.ones(len(y))
    equalities = [
        {"type": "eq", "fun": lambda x: x.sum() - 1.0, "jac": lambda x: ones},
        {"type": "eq", "fun": lambda x: normal @ x, "jac": lambda x: normal},
    ]
    return minimize(
        lambda x: 0.5 * ((x - y) ** 2).sum(),
        ones / len(y),
        jac=lambda x: x - y,
        bounds=[(0.0, None)] * len(y),
        constraints=equalities,
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    ).x


def cases(repeats, seed=0):
    """Draw normals with both signs or a zero, and points near and far from the simplex."""
    random = np.random.default_rng(seed)
    while repeats:
        d = int(random.integers(2, 8))
        normal = random.integers(-4, 6, d).astype(float)
        if normal.any() and normal.min() <= 0.0 <= normal.max():
            repeats -= 1
            yield normal, random.normal(size=d) * random.choice([0.1, 1.0, 10.0])
