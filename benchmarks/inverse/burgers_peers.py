"""Burgers' inverse problem for the peers: as Raissi poses it, without boundary or initial conditions."""

from typing import Any

import numpy as np

from benchmarks.inverse.burgers_data import Samples
from benchmarks.inverse.peers import PeerProblem

# Raissi's starts: no speed, and a viscosity of e^-6.
STARTS = (0.0, -6.0)
COLLOCATION = 4000


def peer_problem(samples: Samples) -> PeerProblem:
    """Return the problem in DeepXDE's words; the residual is asked for at the measured points and at 4000 more."""
    return PeerProblem(
        low=(0.0, -1.0),
        high=(1.0, 1.0),
        residual=_residual,
        starts=STARTS,
        estimates=lambda unknowns: [unknowns[0], float(np.exp(unknowns[1]))],
        points=samples.points,
        values=samples.values[:, None],
        collocation=COLLOCATION,
    )


def _residual(points: Any, velocity: Any, unknowns: list) -> Any:
    import deepxde as dde

    rate = dde.grad.jacobian(velocity, points, i=0, j=0)
    slope = dde.grad.jacobian(velocity, points, i=0, j=1)
    curvature = dde.grad.hessian(velocity, points, i=1, j=1)
    return rate + unknowns[0] * velocity * slope - unknowns[1].exp() * curvature
