"""Questions put to a fit of stiffness before it is believed."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from physics.elasticity.tensor import VoigtReuss, excess, voigt_reuss
from pinn.estimate import Check
from pinn.stiffness.data import affine_part
from pinn.stiffness.equilibrium import Equilibrium
from pinn.stiffness.estimate import EffectiveStiffness, volume_fractions
from pinn.stiffness.pixel_noise import pixel_noise
from pinn.stiffness.solver import MAX_STEPS, Maximum

# Of the fluctuation of the displacements. Staircases for straight boundaries leave 2 % with 14 cells to a grain and 5 %
# with 11; a map that is shifted by two cells leaves 31 %, cubic grains taken for isotropic 64 %.
MAX_MISFIT = 0.1
MAX_FORCE_DEVIATION = 3.5
MAX_RESIDUAL = 1e-6
# Of a grain's stiffness: a polish that moves it further contradicts the network.
MAX_MOVED = 0.1
# Relative to the stiffest eigenvalue: bounds are theorems, so what is left is the solver's tolerance.
MAX_EXCESS = 1e-6


def stiffness_checks(
    equilibrium: Equilibrium,
    maximum: Maximum,
    relative: Float[np.ndarray, "grains m m"],
    effective: EffectiveStiffness,
) -> tuple[Check, ...]:
    """Return what convergence, misfit, forces and bounds say of a fit."""
    ends = voigt_reuss(jnp.asarray(relative), jnp.asarray(volume_fractions(equilibrium.fields)))
    bounds = _bounds(ends, jnp.asarray(effective.periodic))
    stiffness = (_balance(effective), bounds, _windows(effective))
    found = (_converged(maximum), *_network(equilibrium, maximum), _misfit(equilibrium))
    return (*found, *stiffness, *_forces(equilibrium, maximum))


def misfit(equilibrium: Equilibrium, maximum: Maximum) -> float:
    """Return the root mean square residual of the displacements over the noise assumed, freedom counted."""
    total, count = 0.0, 0
    for observed, state in zip(equilibrium.observed, maximum.profile.states, strict=True):
        nodal = slice(0, equilibrium.mesh.unknowns)
        total += float(observed.weights[nodal] @ (state - observed.values)[nodal] ** 2)
        count += int(np.sum(observed.weights[nodal] == 1.0)) - int(np.sum(equilibrium.mesh.on_boundary))
    return float(np.sqrt(total / max(count - len(maximum.parameters), 1)))


def _converged(maximum: Maximum) -> Check:
    steps = len(maximum.trace)
    return Check(
        "converged", maximum.converged, float(steps), float(MAX_STEPS), "no step is left that would gain anything"
    )


def _network(equilibrium: Equilibrium, maximum: Maximum) -> list[Check]:
    if maximum.before is None:
        return []
    before, after = (_relative(equilibrium, numbers) for numbers in (maximum.before, maximum.parameters))
    moved = np.linalg.norm(after - before, axis=(1, 2)) / np.linalg.norm(after, axis=(1, 2))
    most = float(np.max(moved))
    reason = "largest change of the stiffness of a grain, over its size, by the polish after the network"
    return [Check("network", most <= MAX_MOVED, most, MAX_MOVED, reason)]


def _relative(equilibrium: Equilibrium, numbers: Float[np.ndarray, " p"]) -> Float[np.ndarray, "grains m m"]:
    stiffness = equilibrium.stiffness(numbers)
    return stiffness / np.trace(np.tensordot(volume_fractions(equilibrium.fields), stiffness, 1))


def _misfit(equilibrium: Equilibrium) -> Check:
    fields = equilibrium.fields
    noise = fields.noise_sd or pixel_noise(fields)
    beyond = np.sqrt(max(equilibrium.noise_sd**2 - noise**2, 0.0))
    left = [load.displacement - affine_part(load.displacement)[0] for load in fields.loads]
    share = float(beyond / np.sqrt(np.nanmean(np.square(left))))
    reason = (
        "misfit beyond the noise, over the fluctuation of the displacements: grain map, order of components, symmetry, "
        "orientations or resolution"
    )
    return Check("misfit", share <= MAX_MISFIT, share, MAX_MISFIT, reason)


def _balance(effective: EffectiveStiffness) -> Check:
    within = effective.residual <= MAX_RESIDUAL
    return Check("equilibrium", within, effective.residual, MAX_RESIDUAL, "stress of the repeated window in balance")


def _bounds(ends: VoigtReuss, effective: Float[Array, "m m"]) -> Check:
    least = min(float(excess(ends.reuss, effective)), float(excess(effective, ends.voigt)))
    return Check("Voigt and Reuss", least >= -MAX_EXCESS, least, -MAX_EXCESS, "effective stiffness within the bounds")


def _windows(effective: EffectiveStiffness) -> Check:
    lower, upper = jnp.asarray(effective.uniform_traction), jnp.asarray(effective.uniform_displacement)
    least = float(excess(lower, upper))
    return Check("windows", least >= -MAX_EXCESS, least, -MAX_EXCESS, "uniform traction no stiffer than displacement")


def _forces(equilibrium: Equilibrium, maximum: Maximum) -> list[Check]:
    deviations = [
        np.sqrt(observed.weights[-observed.forces :]) * (state - observed.values)[-observed.forces :]
        for observed, state in zip(equilibrium.observed, maximum.profile.states, strict=True)
        if observed.forces
    ]
    # One force is met by the scale, whatever it is.
    if sum(map(len, deviations)) < 2:
        return []
    worst = float(np.max(np.abs(np.concatenate(deviations))))
    reason = "forces against one another: largest deviation in units of the error of the load cell"
    return [Check("forces", worst <= MAX_FORCE_DEVIATION, worst, MAX_FORCE_DEVIATION, reason)]
