"""Displacements of a polycrystal under known loads: what stiffness is inferred from."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pinn.errors import DataRefusedError

# Beyond it, strain is not the symmetric gradient of the displacement, and most grains have yielded.
MAX_STRAIN = 0.05


@dataclass(frozen=True)
class EdgeForce:
    """One component of the force on one whole face of the window, as a load cell reads it.

    Attributes:
        axis: of the normal of the face.
        far: whether it is the face at the end of that axis, not at its start.
        component: of the force; positive on the far face is along the axis of that number.
        value: in `stiffness_unit` times `length_unit` in the plane (per thickness), times its square in space.
        sd: of the reading, from one load to the next; what all loads share is `GrainFields.calibration`.
    """

    axis: int
    far: bool
    component: int
    value: float
    sd: float


@dataclass(frozen=True)
class Load:
    """Displacements under one load.

    Attributes:
        displacement: shape (axes, *points), at the corners of the cells, in `length_unit`; NaN where nothing was seen.
        forces: measured with it; none are needed for ratios of stiffness.
    """

    displacement: np.ndarray
    forces: tuple[EdgeForce, ...] = ()


@dataclass(frozen=True)
class GrainFields:
    """Displacement fields of one window of a polycrystal.

    Attributes:
        grain_map: number of the grain of each cell, from 0 without gaps, shape (*cells).
        loads: at least one; the points of each are the corners of the cells, one more along each axis.
        spacing: edge of a cell in `length_unit`.
        noise_sd: of one displacement in `length_unit`; None where it is to be found from the fields.
        calibration: relative standard deviation of what all forces share, such as the gain of the load cell.
        length_unit: such as "um".
        stiffness_unit: such as "GPa"; forces are in it, too.
    """

    grain_map: np.ndarray
    loads: tuple[Load, ...]
    spacing: float
    noise_sd: float | None = None
    calibration: float = 0.0
    length_unit: str = "um"
    stiffness_unit: str = "GPa"

    def __post_init__(self) -> None:
        """Refuse what cannot be a window of a polycrystal under load."""
        _check_numbers(self)
        _check_grains(self.grain_map)
        if not self.loads:
            raise DataRefusedError("loads: there are none; at least one displacement field is needed")
        for number, load in enumerate(self.loads):
            _check_displacement(number, load.displacement, self.grain_map.shape)
            _check_strain(number, load.displacement / self.spacing)
            for force in load.forces:
                _check_force(number, force, self.grain_map.ndim)

    @property
    def has_force(self) -> bool:
        """Whether any force was measured: without one there is no scale."""
        return any(load.forces for load in self.loads)


def mean_gradient(displacement: Float[np.ndarray, "d *points"]) -> Float[np.ndarray, "d d"]:
    """Return the gradient per cell of the affine field nearest to the points seen, rows for the displacement."""
    return affine_part(displacement)[1]


def affine_part(
    displacement: Float[np.ndarray, "d *points"],
) -> tuple[Float[np.ndarray, "d *points"], Float[np.ndarray, "d d"]]:
    """Return the affine field nearest to the points seen, everywhere, and its gradient per cell."""
    dimension, points = len(displacement), displacement.shape[1:]
    places = np.stack(np.meshgrid(*[np.arange(n) - 0.5 * (n - 1) for n in points], indexing="ij"), -1)
    design = np.concatenate([places.reshape(-1, dimension), np.ones((places[..., 0].size, 1))], axis=1)
    seen = np.all(np.isfinite(displacement), axis=0).ravel()
    found = np.linalg.lstsq(design[seen], displacement.reshape(dimension, -1).T[seen], rcond=None)[0]
    return (design @ found).T.reshape(displacement.shape), found[:-1].T


def _check_numbers(fields: GrainFields) -> None:
    positive = [fields.spacing] + ([] if fields.noise_sd is None else [fields.noise_sd])
    if not all(np.isfinite(value) and value > 0 for value in positive):
        raise DataRefusedError(f"{fields.spacing=}, {fields.noise_sd=}: lengths above zero; noise may be left out")
    if not 0 <= fields.calibration < 1:
        raise DataRefusedError(f"{fields.calibration=}: a relative error, such as 0.01 for one percent")


def _check_grains(grains: np.ndarray) -> None:
    if grains.ndim not in (2, 3) or not np.issubdtype(grains.dtype, np.integer):
        raise DataRefusedError(f"grain_map of {grains.shape=}, {grains.dtype=}: whole numbers on two or three axes")
    if min(grains.shape) < 4:
        raise DataRefusedError(f"grain_map of {grains.shape=}: at least four cells along each axis")
    present = np.unique(grains)
    if not np.array_equal(present, np.arange(len(present))):
        raise DataRefusedError(
            f"grain_map has the numbers {present[:5]}... to {present[-1]}: they must run from 0 without gaps "
            "(np.unique(grain_map, return_inverse=True) renumbers; cells without a grain need one)"
        )


def _check_displacement(number: int, displacement: np.ndarray, cells: tuple[int, ...]) -> None:
    expected = (len(cells), *(n + 1 for n in cells))
    if displacement.shape != expected:
        last = displacement.shape[-1:] == (len(cells),) and displacement.shape[:1] != (len(cells),)
        remedy = "np.moveaxis(u, -1, 0) puts the components first" if last else "resample the grain map between points"
        raise DataRefusedError(
            f"load {number}: displacement of shape {displacement.shape}, but a grain map of {cells} cells needs "
            f"{expected}, one more point than cells along each axis; {remedy}"
        )
    if not np.issubdtype(displacement.dtype, np.floating) or np.any(np.isinf(displacement)):
        raise DataRefusedError(f"load {number}: displacement has to be of finite numbers, NaN where nothing was seen")
    seen = np.mean(np.isfinite(displacement))
    if seen < 0.2:
        raise DataRefusedError(f"load {number}: {seen:.0%} of the displacements are there; at least 20 % are needed")


def _check_strain(number: int, displacement: np.ndarray) -> None:
    gradient = mean_gradient(displacement)
    strain = 0.5 * (gradient + gradient.T)
    size = float(np.max(np.abs(strain)))
    if size == 0.0:
        raise DataRefusedError(f"load {number}: the window does not deform; a field under load is needed")
    if size > MAX_STRAIN:
        raise DataRefusedError(
            f"load {number}: mean strain {size:.2g}, above {MAX_STRAIN}: not linear elasticity, or displacements and "
            "spacing are in different units"
        )
    if np.max(np.abs(gradient - gradient.T)) > MAX_STRAIN:
        raise DataRefusedError(
            f"load {number}: the window turns by {np.max(np.abs(gradient - gradient.T)) / 2:.2g} rad; take the rigid "
            "rotation out, or put the components in the order of the axes"
        )


def _check_force(number: int, force: EdgeForce, dimension: int) -> None:
    if force.axis not in range(dimension) or force.component not in range(dimension):
        raise DataRefusedError(f"load {number}: {force.axis=}, {force.component=}: below {dimension}")
    if not np.isfinite(force.value) or not np.isfinite(force.sd) or force.sd <= 0:
        raise DataRefusedError(f"load {number}: {force.value=}, {force.sd=}: finite, and the error above zero")
