"""Maximum of the log-posterior of stiffness with the displacements themselves as unknowns.

The field starts where the data are and comes to equilibrium by and by: an augmented Lagrangian of weak equilibrium,
minimised over displacements and stiffness together by Gauss-Newton (ODIL: Karnakov, Litvinov and Koumoutsakos 2024,
10.1093/pnasnexus/pgae005). No equilibrium is solved for a stiffness that was tried; the end is the solver's.
"""

from collections.abc import Callable

import numpy as np
import scipy.sparse
from jaxtyping import Float
from scipy.sparse.linalg import splu

from pinn.stiffness.equilibrium import Equilibrium, Observed
from pinn.stiffness.solver import Maximum

MAX_STEPS = 60
# Weight of a force out of balance against a displacement off the data, both in units of the noise.
PENALTY = 1e4
TOLERANCE = 1e-7
# Of a step in a logarithm: the residual is bilinear, and trusted within a factor or so.
LONGEST = 0.5


def maximise_field(
    equilibrium: Equilibrium, start: Float[np.ndarray, " p"], progress: Callable[[float], None] = lambda _: None
) -> Maximum:
    """Return the maximum that the start leads to; `progress` is told the objective after each step."""
    parameters, trace = start, []
    states = [observed.values for observed in equilibrium.observed]
    multipliers = [np.zeros(observed.equations) for observed in equilibrium.observed]
    for _ in range(MAX_STEPS):
        states, step = _step(equilibrium, parameters, states, multipliers)
        parameters = parameters + step
        matrix = equilibrium.assembled(parameters)
        for number, (observed, state) in enumerate(zip(equilibrium.observed, states, strict=True)):
            multipliers[number] = multipliers[number] + PENALTY * (equilibrium.constraint(observed, matrix) @ state)
        trace.append(_misfit(equilibrium, parameters, states))
        progress(trace[-1])
        if np.max(np.abs(step)) < TOLERANCE:
            return Maximum(parameters, equilibrium.profile(parameters), np.array(trace), True)
    return Maximum(parameters, equilibrium.profile(parameters), np.array(trace), False)


def _step(
    equilibrium: Equilibrium,
    parameters: Float[np.ndarray, " p"],
    states: list[np.ndarray],
    multipliers: list[np.ndarray],
) -> tuple[list[np.ndarray], Float[np.ndarray, " p"]]:
    """Return new fields of all loads and the step of the free numbers, one Gauss-Newton step of both together."""
    matrix, slopes = equilibrium.assembled(parameters), equilibrium.slopes(parameters)
    precision = equilibrium.model.prior_precision
    gradient, curvature, fields, turns = precision * parameters, np.diag(precision), [], []
    for observed, state, multiplier in zip(equilibrium.observed, states, multipliers, strict=True):
        constraint = equilibrium.constraint(observed, matrix)
        change = equilibrium.sensitivity(observed, state, slopes)
        field, turn = _fields(observed, constraint, multiplier, change)
        gradient = gradient + change.T @ (multiplier + PENALTY * (constraint @ field))
        curvature = curvature + PENALTY * change.T @ (change + constraint @ turn)
        fields.append(field)
        turns.append(turn)
    size = np.sqrt(np.maximum(np.diag(curvature), 1e-300))
    scaled = curvature / np.outer(size, size) + 1e-6 * np.eye(len(size))
    step = -np.linalg.solve(scaled, gradient / size) / size
    step *= min(1.0, LONGEST / max(float(np.max(np.abs(step))), 1e-300))
    return [field + turn @ step for field, turn in zip(fields, turns, strict=True)], step


def _fields(
    observed: Observed,
    constraint: scipy.sparse.csr_array,
    multiplier: Float[np.ndarray, " equations"],
    change: Float[np.ndarray, "equations p"],
) -> tuple[Float[np.ndarray, " z"], Float[np.ndarray, "z p"]]:
    """Return the best field for the free numbers as they are, and how it turns with them."""
    normal = scipy.sparse.diags_array(observed.weights) + PENALTY * (constraint.T @ constraint)
    options = {"SymmetricMode": True}
    factor = splu(normal.tocsc(), permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    field = factor.solve(observed.weights * observed.values - constraint.T @ multiplier)
    return field, -factor.solve(PENALTY * (constraint.T @ change))


def _misfit(equilibrium: Equilibrium, parameters: Float[np.ndarray, " p"], states: list[np.ndarray]) -> float:
    squares = [
        observed.weights @ (state - observed.values) ** 2
        for observed, state in zip(equilibrium.observed, states, strict=True)
    ]
    return 0.5 * float(sum(squares) + equilibrium.model.prior_precision @ parameters**2)
