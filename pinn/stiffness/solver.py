"""Maximum of the log-posterior of stiffness by Levenberg-Marquardt, displacements eliminated at each step.

Equilibrium is solved exactly for every stiffness tried, so each step is one of the solver, and the curvature at the end
is the precision of the stiffness with the unknown boundary displacements integrated out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pinn.stiffness.equilibrium import Equilibrium, Profile

MAX_STEPS = 60
# Of the decrease that the quadratic model still promises, in units of the log-posterior.
TOLERANCE = 1e-6
# In a logarithm of a square root of stiffness: beyond, a quadratic model says nothing, and matrices become singular.
LONGEST = 1.5


@dataclass(frozen=True)
class Maximum:
    """Where the search ended.

    Attributes:
        parameters: free numbers.
        profile: what is there.
        trace: objective after each step.
        converged: whether less than the tolerance was left to gain.
        before: free numbers that a network had found; None where there was none.
    """

    parameters: np.ndarray
    profile: Profile
    trace: np.ndarray
    converged: bool
    before: np.ndarray | None = None


def maximise(
    equilibrium: Equilibrium, start: Float[np.ndarray, " p"], progress: Callable[[float], None] = lambda _: None
) -> Maximum:
    """Return the maximum that the start leads to; `progress` is told the objective after each step."""
    parameters, profile = start, equilibrium.profile(start)
    trace, damping = [profile.objective], 1e-3
    for _ in range(MAX_STEPS):
        step, promised = _step(profile, damping)
        # The best step without damping tells what is left to gain; damped ones are short for other reasons.
        if _step(profile, 1e-12)[1] < TOLERANCE:
            return Maximum(parameters, profile, np.array(trace), True)
        if np.max(np.abs(step)) > LONGEST:
            damping *= 10.0
            continue
        tried = equilibrium.profile(parameters + step)
        if tried.objective < profile.objective:
            gained = (profile.objective - tried.objective) / promised
            parameters, profile = parameters + step, tried
            damping = max(damping * (0.1 if gained > 0.5 else 1.0), 1e-12)
            trace.append(profile.objective)
            progress(profile.objective)
        else:
            damping *= 10.0
    return Maximum(parameters, profile, np.array(trace), False)


def _step(profile: Profile, damping: float) -> tuple[Float[np.ndarray, " p"], float]:
    """Return a damped step and the decrease that the quadratic model promises for it.

    Directions without curvature, such as the scale where there is no force, have no gradient either and stay still.
    """
    size = np.sqrt(np.diag(profile.curvature))
    size = np.where(size > 0.0, size, 1.0)
    values, vectors = np.linalg.eigh(profile.curvature / np.outer(size, size))
    along = vectors.T @ (profile.gradient / size)
    step = -vectors @ (along / (np.maximum(values, 0.0) + damping)) / size
    return step, -float(profile.gradient @ step + 0.5 * step @ profile.curvature @ step)
