"""Stiffness of the grains of a polycrystal from displacement fields, and of the window that they make up.

Displacements alone fix stiffness up to a factor: div C : strain = 0 stays true when C is multiplied by anything. So
ratios come from the displacements, and a number with a unit only where a force was measured.
"""

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from physics.elasticity.finite_elements import Mesh
from physics.elasticity.lippmann_schwinger import homogenise
from physics.elasticity.windows import displacement_controlled, traction_controlled
from pinn.errors import DataRefusedError, NotIdentifiedError
from pinn.estimate import Quantity
from pinn.stiffness.checks import misfit, stiffness_checks
from pinn.stiffness.data import GrainFields, mean_gradient
from pinn.stiffness.equilibrium import Equilibrium
from pinn.stiffness.estimate import (
    EffectiveStiffness,
    Reading,
    StiffnessEstimate,
    quantity,
    reading,
    volume_fractions,
)
from pinn.stiffness.field import maximise_field
from pinn.stiffness.model import GrainModel
from pinn.stiffness.pixel_noise import pixel_noise
from pinn.stiffness.solver import Maximum, maximise

Backend = Literal["solver", "field", "pinn"]
# A noise that the residuals contradict by less is left as it is.
_NOISE_AGREES = 1.1
# Loads differ in kind where the spread of their mean strains exceeds that of their noise by far.
_INDEPENDENT = 0.05


def fit_stiffness(
    fields: GrainFields,
    model: GrainModel,
    backend: Backend = "solver",
    progress: Callable[[float], None] = lambda _: None,
    seed: int = 0,
) -> StiffnessEstimate:
    """Return the stiffness of the grains, relative to their mean, and that mean where a force was measured.

    Args:
        fields: displacements and forces.
        model: what the grains may be.
        backend: "solver" eliminates the displacements at every step, "field" moves them together with the stiffness,
            "pinn" fits a network first, from whose stiffness the solver goes on. All maximise the same log-posterior.
        progress: is told the objective after each step.
        seed: of the network.

    Raises:
        DataRefusedError: the model is of other grains than the map, or of another dimension.
        NotIdentifiedError: not even one ratio follows from the fields.
    """
    began = time.perf_counter()
    _check_together(fields, model)
    equilibrium, maximum = _fit(fields, model, _search(backend, seed), progress)
    read = reading(equilibrium, maximum.parameters, maximum.profile)
    ratios, covariance, open_ratios = _ratios(read)
    scale = read.scale() if fields.has_force else None
    stiffness = equilibrium.stiffness(maximum.parameters)
    relative = stiffness / _mean(stiffness, fields)
    effective = _effective(fields, relative)
    return StiffnessEstimate(
        backend,
        ratios,
        covariance,
        scale,
        _absolute(read, scale),
        _ridge(fields, open_ratios),
        read.spectrum,
        relative,
        model.turned(maximum.parameters),
        effective,
        _displacements(equilibrium, maximum),
        equilibrium.noise_sd,
        stiffness_checks(equilibrium, maximum, relative, effective),
        maximum.trace,
        time.perf_counter() - began,
    )


def _check_together(fields: GrainFields, model: GrainModel) -> None:
    grains, dimension = int(fields.grain_map.max()) + 1, fields.grain_map.ndim
    if len(model.rotations) != grains:
        raise DataRefusedError(f"model of {len(model.rotations)} grains, but the grain map has {grains}")
    if model.rotations.shape[-1] < dimension:
        raise DataRefusedError("plane crystals in a grain map with three axes: give rotations of shape (grains, 3, 3)")


def _search(backend: Backend, seed: int) -> Callable[..., Maximum]:
    if backend == "pinn":
        # Here alone, since it loads flax and optax.
        from pinn.stiffness import network

        return partial(network.maximise, key=jax.random.key(seed))
    return {"solver": maximise, "field": maximise_field}[backend]


def _fit(
    fields: GrainFields, model: GrainModel, search: Callable[..., Maximum], progress: Callable[[float], None]
) -> tuple[Equilibrium, Maximum]:
    """Return the maximum for the noise that it leaves itself: errors of the model count as noise."""
    first = fields.noise_sd or pixel_noise(fields)
    equilibrium = Equilibrium(fields, model, first, _force_scale(fields, model))
    maximum = search(equilibrium, model.start(), progress)
    factor = misfit(equilibrium, maximum)
    if factor > _NOISE_AGREES or (fields.noise_sd is None and factor < 1 / _NOISE_AGREES):
        equilibrium = dataclasses.replace(equilibrium, noise_sd=first * factor)
        # Another noise moves the maximum a little, and a network need not be fitted for that again.
        again = maximise_field if search is maximise_field else maximise
        last = again(equilibrium, maximum.parameters, progress)
        trace = np.concatenate([maximum.trace / factor**2, last.trace])
        maximum = dataclasses.replace(last, trace=trace, before=maximum.before)
    return equilibrium, maximum


def _force_scale(fields: GrainFields, model: GrainModel) -> float:
    """Return a first guess of the stiffness, from forces and mean strains of equal grains."""
    products, squares = 0.0, 0.0
    stiffness = _mean(Equilibrium(fields, model, 1.0, 1.0).stiffness(model.start()), fields)
    for load in fields.loads:
        gradient = mean_gradient(load.displacement) / fields.spacing
        size = float(np.linalg.norm(0.5 * (gradient + gradient.T)))
        area = fields.spacing ** (fields.grain_map.ndim - 1) * np.prod(fields.grain_map.shape[:-1])
        products += sum(abs(force.value) * size * area * stiffness for force in load.forces)
        squares += sum((size * area * stiffness) ** 2 for _ in load.forces)
    return products / squares if products > 0 else 1.0


def _mean(stiffness: Float[np.ndarray, "grains m m"], fields: GrainFields) -> float:
    averaged = np.tensordot(volume_fractions(fields), stiffness, 1)
    return float(np.trace(averaged) / len(averaged))


def _ratios(read: Reading) -> tuple[tuple[Quantity, ...], np.ndarray, list[str]]:
    """Return the ratios that are known, their covariance and the names of the others."""
    names, values, slopes = read.constants()
    known = read.is_known(slopes)
    if not np.any(known):
        raise NotIdentifiedError("no ratio of stiffness follows from these loads: add loads of other directions")
    covariance = slopes[known] @ read.covariance @ slopes[known].T
    sds = np.sqrt(np.diag(covariance))
    numbers = zip(np.array(names)[known], values[known], sds, strict=True)
    ratios = tuple(quantity(str(name), value, sd, "1") for name, value, sd in numbers)
    return ratios, covariance, [name for name, is_known in zip(names, known, strict=True) if not is_known]


def _absolute(read: Reading, scale: Quantity | None) -> tuple[Quantity, ...]:
    """Return the constants in their unit, with the correlation of ratio and scale; nothing without a scale."""
    if scale is None:
        return ()
    names, values, slopes = read.constants()
    value, slope = read.log_scale()
    known = read.is_known(slopes)
    absolute = slopes + values[:, None] * slope
    variances = np.einsum("qp,pr,qr->q", absolute, read.covariance, absolute) * np.exp(2 * value)
    shared = (read.equilibrium.fields.calibration * values * np.exp(value)) ** 2
    sds = np.sqrt(variances + shared) * read.equilibrium.force_scale
    numbers = zip(names, values * scale.value, sds, known, strict=True)
    return tuple(quantity(name, x, sd, scale.unit) for name, x, sd, is_known in numbers if is_known)


def _ridge(fields: GrainFields, unknown: list[str]) -> str:
    said = []
    if not fields.has_force:
        said.append(
            "Every stiffness may be multiplied by one factor without a change of any displacement; "
            "the force on one face under one load gives it."
        )
    if unknown:
        said.append(f"Not identified: {', '.join(unknown)}; loads or sections of other directions would tell.")
    return " ".join(said)


def _effective(fields: GrainFields, relative: Float[np.ndarray, "grains m m"]) -> EffectiveStiffness:
    field = jnp.moveaxis(jnp.asarray(relative)[fields.grain_map], (-2, -1), (0, 1))
    cells, mesh = relative[fields.grain_map.ravel()], Mesh(fields.grain_map.shape)
    kinds, needed = _kinds_of_load(fields), relative.shape[-1]
    alone = "they would give it as well" if kinds >= needed else f"its {needed} mean strains need {needed}"
    periodic = homogenise(field)
    return EffectiveStiffness(
        np.asarray(periodic.effective),
        traction_controlled(mesh, cells),
        displacement_controlled(mesh, cells),
        float(periodic.residual),
        f"homogenised from the stiffness of the grains; of the loads, {kinds} differ in kind: {alone}",
    )


def _kinds_of_load(fields: GrainFields) -> int:
    gradients = [mean_gradient(load.displacement) for load in fields.loads]
    strains = np.array([(gradient + gradient.T).ravel() for gradient in gradients])
    sizes = np.linalg.svd(strains / np.linalg.norm(strains, axis=1, keepdims=True), compute_uv=False)
    return int(np.sum(sizes > _INDEPENDENT * sizes[0]))


def _displacements(equilibrium: Equilibrium, maximum: Maximum) -> Float[np.ndarray, "loads d *points"]:
    mesh = equilibrium.mesh
    fields = [state[: mesh.unknowns].reshape(*mesh.nodes, mesh.dimension) for state in maximum.profile.states]
    return np.moveaxis(np.array(fields), -1, 1) * equilibrium.noise_sd
