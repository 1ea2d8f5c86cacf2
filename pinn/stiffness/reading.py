"""A window of a polycrystal out of a file: what the file has, what a person tells beside, and what does not agree.

Arrays of the file:

    grain_map      number of the grain of each cell, from 0 without gaps, shape (*cells), two or three axes
    displacements  shape (loads, axes, *points) or (axes, *points), at the corners of the cells, component i along axis
                   i of the grain map; NaN where nothing was seen
    angles_deg     of plane crystals, anticlockwise from axis 0 to axis 1, shape (grains,); or
    euler_deg      Bunge's angles phi1, Phi, phi2 of crystals in space, shape (grains, 3); or
    rotations      matrices from crystal axes to axes of the map, shape (grains, d, d)
    phases         optional: material of each grain, from 0 without gaps; without it each grain has its own constants
    forces         optional: one row a force: load, axis of the normal of the face, side (0 near, 1 far), component,
                   value, standard deviation
    spacing        edge of a cell, a number, with length_unit beside, text; or told
"""

from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from physics.elasticity.tensor import planar_rotation
from pinn.amounts import Amount, known_unit
from pinn.errors import DataRefusedError
from pinn.stiffness.data import EdgeForce, GrainFields, Load
from pinn.stiffness.files import read_arrays
from pinn.stiffness.force_table import forces_of_array, forces_of_file
from pinn.stiffness.model import GrainModel, from_bunge, no_rotations
from pinn.units import METRES

ORIENTATIONS = ("angles_deg", "euler_deg", "rotations")
KEYS = ("grain_map", "displacements", *ORIENTATIONS, "phases", "forces", "spacing", "length_unit")
PASCALS = {"Pa": 1.0, "kPa": 1e3, "MPa": 1e6, "GPa": 1e9}
NEWTONS = {"N": 1.0, "kN": 1e3, "mN": 1e-3, "uN": 1e-6, "nN": 1e-9}
CELLS = "cells"


@dataclass(frozen=True)
class Told:
    """What a person tells of a file.

    Attributes:
        symmetry: of the crystals.
        spacing: edge of a cell; None where the file says.
        displacement_unit: a unit of length or "cells"; empty where it is that of the spacing.
        noise: standard deviation of a displacement in that unit; None where it is to be found.
        stiffness_unit: of what is reported.
        plane: "strain" or "stress", of crystals in space seen in a plane; empty for others.
        orientation_deg: standard deviation of the orientations about each axis; 0 where they are exact.
        one_material: whether all grains share their constants.
        forces: a table of forces beside the file.
        force_unit: empty where forces are in the unit of stiffness times that of length (in space: squared).
        thickness: of a plate whose forces are in a unit of force.
        calibration: relative error that all forces share.
    """

    symmetry: str
    spacing: Amount | None = None
    displacement_unit: str = ""
    noise: float | None = None
    stiffness_unit: str = "GPa"
    plane: str = ""
    orientation_deg: float = 0.0
    one_material: bool = False
    forces: Path | None = None
    force_unit: str = ""
    thickness: Amount | None = None
    calibration: float = 0.0


def read_window(path: Path, told: Told) -> tuple[GrainFields, GrainModel]:
    """Return the fields and what is known of the grains.

    Raises:
        DataRefusedError: something is missing, damaged or contradicts something else: names file, key and remedy.
        MissingPackageError: HDF5 files need a package that is not installed.
    """
    arrays = read_arrays(path, KEYS)
    missing = [key for key in ("grain_map", "displacements") if key not in arrays]
    if missing:
        raise DataRefusedError(
            f"{path} has no {' and no '.join(missing)}, only {sorted(arrays)}; see mfal stiffness -h"
        )
    spacing = _spacing(arrays, told, path)
    grain_map = _whole(arrays["grain_map"], "grain_map", path)
    displacements = _displacements(arrays["displacements"], grain_map, path)
    unit = 1.0 if told.displacement_unit in ("", spacing.unit) else _length_factor(told.displacement_unit, spacing)
    forces = _forces(arrays, told, len(displacements), spacing, grain_map.ndim, path)
    try:
        loads = tuple(Load(u * unit, tuple(own)) for u, own in zip(displacements, forces, strict=True))
        noise = None if told.noise is None else told.noise * unit
        fields = GrainFields(
            grain_map, loads, spacing.value, noise, told.calibration, spacing.unit, told.stiffness_unit
        )
        return fields, _model(arrays, told, fields, path)
    except DataRefusedError as error:
        raise DataRefusedError(f"{path}: {error}") from error


def _spacing(arrays: dict[str, np.ndarray], told: Told, path: Path) -> Amount:
    read = _read_spacing(arrays, path)
    if told.spacing is None:
        if read is None:
            raise DataRefusedError(
                f"{path}: no spacing; give the edge of a cell: --spacing 1um, or spacing and length_unit in the file"
            )
        return read
    if read is not None:
        ratio = read.value * METRES[read.unit] / (told.spacing.value * METRES[told.spacing.unit])
        if abs(ratio - 1.0) > 1e-6:
            raise DataRefusedError(f"{path}: --spacing {told.spacing}, but the file says {read}; correct one")
    return told.spacing


def _read_spacing(arrays: dict[str, np.ndarray], path: Path) -> Amount | None:
    if "spacing" not in arrays:
        return None
    unit = known_unit(str(arrays.get("length_unit", "")), METRES)
    spacing = arrays["spacing"]
    if unit is None or spacing.shape != () or spacing.dtype.kind not in "iuf":
        raise DataRefusedError(
            f"{path}: spacing {spacing} {arrays.get('length_unit', '(no length_unit)')} is no number with one of "
            f"{', '.join(METRES)}; correct it, or take it out and give --spacing"
        )
    return Amount(float(spacing), unit)


def _length_factor(unit: str, spacing: Amount) -> float:
    """Return a displacement's unit over that of the spacing."""
    if unit == CELLS:
        return spacing.value
    known = known_unit(unit, METRES)
    if known is None:
        raise DataRefusedError(f"--displacement-unit {unit!r} is none of {CELLS}, {', '.join(METRES)}")
    return METRES[known] / METRES[spacing.unit]


def _whole(values: np.ndarray, key: str, path: Path) -> Int[np.ndarray, "..."]:
    """Return whole numbers, also those that a program saved as floating-point ones."""
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    if values.dtype.kind != "f" or not np.all(np.isfinite(values)) or np.any(values != np.round(values)):
        raise DataRefusedError(f"{path}: {key} has to be of whole numbers, without gaps or NaN; it is {values.dtype}")
    return values.astype(np.int64)


def _displacements(values: np.ndarray, grain_map: np.ndarray, path: Path) -> Float[np.ndarray, "loads d *points"]:
    if values.dtype.kind not in "iuf":
        raise DataRefusedError(f"{path}: displacements of {values.dtype}; real numbers are needed")
    axes, points = grain_map.ndim, tuple(n + 1 for n in grain_map.shape)
    stacked = values[None] if values.ndim == axes + 1 else values
    if stacked.ndim != axes + 2 or stacked.shape[1:] != (axes, *points):
        raise DataRefusedError(
            f"{path}: displacements of shape {values.shape}, but a grain map of {grain_map.shape} cells needs "
            f"(loads, {axes}, {', '.join(map(str, points))}); {_remedy(stacked.shape, grain_map.shape)}"
        )
    return stacked.astype(float)


def _remedy(shape: tuple[int, ...], cells: tuple[int, ...]) -> str:
    """Say what would bring displacements into the shape that is asked for."""
    points = tuple(n + 1 for n in cells)
    for wanted, remedy in (((len(cells), *points), ""), ((len(cells), *cells), ", then interpolate it to the corners")):
        every = permutations(range(len(shape))) if len(shape) == len(cells) + 2 else ()
        orders = [p for p in every if tuple(shape[i] for i in p)[1:] == wanted]
        if orders:
            # The order that moves the least is meant.
            order = min(orders, key=lambda p: sum(abs(i - place) for place, i in enumerate(p)))
            if order == tuple(range(len(shape))):
                return (
                    "these are of the cells: interpolate them to the corners, or leave a row of cells out on each axis"
                )
            return f"np.transpose(displacements, {order}) puts loads and components first{remedy}"
    return "map and displacements are of different windows or resolutions: resample one"


def _forces(
    arrays: dict[str, np.ndarray], told: Told, loads: int, spacing: Amount, dimension: int, path: Path
) -> list[list[EdgeForce]]:
    if told.forces is not None and "forces" in arrays:
        raise DataRefusedError(f"{path} has forces, and so has --forces {told.forces}; leave out one of them")
    unit = _force_factor(told, spacing, dimension)
    if told.forces is not None:
        found = forces_of_file(told.forces, loads)
    elif "forces" in arrays:
        found = forces_of_array(arrays["forces"], loads, f"{path}: forces")
    else:
        found = [[] for _ in range(loads)]
    return [[replace(force, value=force.value * unit, sd=force.sd * unit) for force in own] for own in found]


def _force_factor(told: Told, spacing: Amount, dimension: int) -> float:
    """Return the unit of the forces over that of stiffness times length, in space times its square."""
    if not told.force_unit:
        if told.thickness is not None:
            raise DataRefusedError("--thickness is for forces in newtons; give --force-unit N as well, or leave it out")
        return 1.0
    if (told.thickness is None) == (dimension == 2):
        raise DataRefusedError(
            "--force-unit needs --thickness of the plate, such as 0.5mm, in the plane, and none in space: "
            "stress times an edge is a force per thickness"
        )
    edge = METRES[spacing.unit]
    across = edge if told.thickness is None else told.thickness.value * METRES[told.thickness.unit]
    return NEWTONS[told.force_unit] / (PASCALS[told.stiffness_unit] * edge * across)


def _model(arrays: dict[str, np.ndarray], told: Told, fields: GrainFields, path: Path) -> GrainModel:
    grains = int(fields.grain_map.max()) + 1
    rotations = _rotations(arrays, told, grains, fields.grain_map.ndim)
    if (rotations.shape[-1] > fields.grain_map.ndim) != bool(told.plane):
        raise DataRefusedError(
            "crystals in space seen in a plane need --plane strain or --plane stress, others none; "
            f"here rotations are of shape {rotations.shape}, the grain map has {fields.grain_map.ndim} axes"
        )
    phases = np.zeros(grains, dtype=int) if told.one_material else np.arange(grains)
    if "phases" in arrays:
        if told.one_material:
            raise DataRefusedError("phases are in the file: leave out --one-material, or take them out")
        phases = _whole(arrays["phases"], "phases", path)
    return GrainModel(told.symmetry, rotations, phases, float(np.deg2rad(told.orientation_deg)), told.plane or "strain")


def _rotations(
    arrays: dict[str, np.ndarray], told: Told, grains: int, dimension: int
) -> Float[np.ndarray, "grains d d"]:
    keys = [key for key in ORIENTATIONS if key in arrays]
    if not keys and told.symmetry == "isotropic":
        return no_rotations(grains, 3 if told.plane else dimension)
    if len(keys) != 1:
        raise DataRefusedError(
            f"orientations: {' and '.join(keys) or 'none'}; give one of {', '.join(ORIENTATIONS)}, "
            f"without which {told.symmetry} crystals tell nothing"
        )
    values, wanted = arrays[keys[0]], {"angles_deg": [(grains,)], "euler_deg": [(grains, 3)]}
    shapes = wanted.get(keys[0], [(grains, 2, 2), (grains, 3, 3)])
    if values.shape not in shapes or values.dtype.kind not in "iuf" or not np.all(np.isfinite(values)):
        expected = " or ".join(map(str, shapes))
        raise DataRefusedError(f"{keys[0]} of shape {values.shape}: {expected} finite numbers, one row a grain")
    if keys[0] == "rotations":
        return values.astype(float)
    radians = np.deg2rad(values.astype(float))
    return np.asarray(planar_rotation(jnp.asarray(radians))) if values.ndim == 1 else from_bunge(radians)
