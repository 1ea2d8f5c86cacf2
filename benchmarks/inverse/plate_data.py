"""Displacements of a plate of grains, made with another scheme on a finer grid than any fit uses.

Linear triangles, four to the edge of a cell and along the true, straight boundaries of the grains as far as triangles
go; the fits know the grain of each cell only, and use bilinear elements of one a cell.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from jaxtyping import Float, Int
from scipy.sparse.linalg import splu

from physics.elasticity.polycrystal import nearest_seed
from pinn.stiffness.data import EdgeForce, GrainFields, Load, affine_part

REFINEMENT = 4
STRAIN = 1e-3
# Grips do not move like a uniform strain: smooth deviations, relative to it.
UNEVENNESS = 0.2


@dataclass(frozen=True)
class Plate:
    """A plate whose stiffness is known.

    Attributes:
        grain_map: grain of each cell.
        stiffness: of each grain in axes of the plate, Mandel, GPa.
        displacements: without noise, shape (loads, 2, *points), cells of edge one.
        forces: on the far face across the first axis and across the second, shape (loads, 2, 2), GPa cells.
    """

    grain_map: np.ndarray
    stiffness: np.ndarray
    displacements: np.ndarray
    forces: np.ndarray


def make_plate(cells: int, stiffness: Float[np.ndarray, "grains 3 3"], generator: np.random.Generator) -> Plate:
    """Return a square plate under tension along both axes and shear, grains at random."""
    seeds = _spread(len(stiffness), generator) * cells
    grain_map = nearest_seed((cells, cells), seeds, periodic=False)
    points = cells * REFINEMENT + 1
    triangles, centres = _triangles(points)
    grains = np.argmin(np.sum((centres[:, None] / REFINEMENT - seeds) ** 2, axis=-1), axis=1)
    matrix = _assemble(triangles, stiffness[grains], points)
    boundary = np.stack([_grips(points, load, generator) for load in range(3)], axis=-1)
    moved = _solve(matrix, boundary, points)
    held = (matrix @ moved).reshape(points, points, 2, -1)
    forces = np.stack([_face(held), _face(held.swapaxes(0, 1))])
    every = (slice(None, None, REFINEMENT),) * 2
    displacements = np.moveaxis(moved.reshape(points, points, 2, -1)[every], (-1, -2), (0, 1))
    return Plate(grain_map, stiffness, displacements / REFINEMENT, np.moveaxis(forces, -1, 0) / REFINEMENT)


def measured(
    plate: Plate, noise: float, load_error: float, generator: np.random.Generator, forces: bool = True
) -> GrainFields:
    """Return the fields as a camera and a load cell give them.

    Noise is relative to the root mean square of the fluctuation, what is left of a displacement after its affine part:
    for a given relative noise that is far harder than noise relative to the displacement. Only the two tests in tension
    have a load cell, across the face that is pulled.
    """
    sd = noise * fluctuation(plate)
    loads = []
    for number, displacement in enumerate(plate.displacements):
        read = (_reading(plate, number, load_error, generator),) if forces and number < 2 else ()
        loads.append(Load(displacement + sd * generator.normal(size=displacement.shape), read))
    return GrainFields(plate.grain_map, tuple(loads), 1.0, sd if noise else None, 0.0, "cell", "GPa")


def fluctuation(plate: Plate) -> float:
    """Return the root mean square of the displacements less their affine parts, in cells."""
    left = [displacement - affine_part(displacement)[0] for displacement in plate.displacements]
    return float(np.sqrt(np.mean(np.square(left))))


def _reading(plate: Plate, number: int, error: float, generator: np.random.Generator) -> EdgeForce:
    true = float(plate.forces[number, number, number])
    sd = max(error, 1e-6) * abs(true)
    return EdgeForce(number, True, number, true + error * abs(true) * generator.normal(), sd)


def _spread(count: int, generator: np.random.Generator) -> Float[np.ndarray, "count 2"]:
    """Return seeds that keep a distance, as grains of similar size have."""
    seeds: list[np.ndarray] = []
    distance = 0.7 / np.sqrt(count)
    while len(seeds) < count:
        tried = generator.uniform(0.05, 0.95, size=2)
        if all(np.linalg.norm(tried - seed) > distance for seed in seeds):
            seeds.append(tried)
        distance *= 0.9995
    return np.array(seeds)


def _triangles(points: int) -> tuple[Int[np.ndarray, "triangles 3"], Float[np.ndarray, "triangles 2"]]:
    """Return the nodes of triangles that halve squares by diagonals in turns, and their centres."""
    number = np.arange(points * points).reshape(points, points)
    a, b, c, d = (number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:])
    even = (np.add.outer(np.arange(points - 1), np.arange(points - 1)) % 2 == 0)[..., None]
    first = np.where(even, np.stack([a, b, c], -1), np.stack([a, b, d], -1))
    second = np.where(even, np.stack([a, c, d], -1), np.stack([b, c, d], -1))
    triangles = np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)])
    places = np.stack(np.unravel_index(triangles, (points, points)), -1).astype(float)
    return triangles, places.mean(axis=1)


def _assemble(
    triangles: Int[np.ndarray, "triangles 3"], stiffness: Float[np.ndarray, "triangles 3 3"], points: int
) -> scipy.sparse.csr_array:
    places = np.stack(np.unravel_index(triangles, (points, points)), -1).astype(float)
    corners = np.concatenate([np.ones((len(triangles), 3, 1)), places], axis=2)
    slopes = np.linalg.inv(corners)[:, 1:]
    strain = np.zeros((len(triangles), 3, 6))
    strain[:, 0, 0::2], strain[:, 1, 1::2] = slopes[:, 0], slopes[:, 1]
    strain[:, 2, 0::2], strain[:, 2, 1::2] = slopes[:, 1] / np.sqrt(2), slopes[:, 0] / np.sqrt(2)
    local = 0.5 * np.einsum("nai,nab,nbj->nij", strain, stiffness, strain)
    unknowns = (2 * triangles[..., None] + np.arange(2)).reshape(-1, 6)
    rows, columns = np.repeat(unknowns, 6, axis=1).ravel(), np.tile(unknowns, (1, 6)).ravel()
    return scipy.sparse.csr_array(scipy.sparse.coo_array((local.ravel(), (rows, columns))))


def _grips(points: int, load: int, generator: np.random.Generator) -> Float[np.ndarray, " unknowns"]:
    """Return displacements of one load everywhere, of which the boundary's count."""
    strain = STRAIN * np.array([[[1, 0], [0, -0.3]], [[-0.3, 0], [0, 1]], [[0, 1], [1, 0]]])[load]
    places = np.stack(np.meshgrid(*[np.arange(points, dtype=float)] * 2, indexing="ij"), -1)
    moved = places @ strain
    for _ in range(4):
        wave = generator.normal(size=2) * np.pi / points
        phase, size = generator.uniform(0, 2 * np.pi), generator.normal(size=2)
        size *= UNEVENNESS * STRAIN / (np.linalg.norm(wave) * 2.0)
        moved += np.sin(places @ wave + phase)[..., None] * size
    return moved.ravel()


def _solve(
    matrix: scipy.sparse.csr_array, boundary: Float[np.ndarray, "unknowns loads"], points: int
) -> Float[np.ndarray, "unknowns loads"]:
    inner = np.zeros((points, points), dtype=bool)
    inner[1:-1, 1:-1] = True
    free = np.flatnonzero(np.repeat(inner.ravel(), 2))
    moved = np.where(np.isin(np.arange(len(boundary)), free)[:, None], 0.0, boundary)
    part = scipy.sparse.csc_array(matrix[free][:, free])
    options = {"SymmetricMode": True}
    factor = splu(part, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options)
    moved[free] = factor.solve(-(matrix @ moved)[free])
    return moved


def _face(held: Float[np.ndarray, "points points 2 loads"]) -> Float[np.ndarray, "2 loads"]:
    """Return the force on the far face across the first axis; half of the corners' belongs to the other faces."""
    rows = held.sum(axis=1)
    return rows[-1] - 0.5 * rows[-2]
