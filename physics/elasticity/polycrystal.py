"""Random polycrystals: Voronoi grains and orientations without texture."""

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation


def voronoi_grains(
    cells: tuple[int, ...], grains: int, generator: np.random.Generator, periodic: bool = True
) -> Int[np.ndarray, "*cells"]:
    """Return the grain of each cell: that whose seed is nearest; seeds uniform and independent (Poisson-Voronoi).

    A grain between the centres of cells has none; the grid should be finer than the grains.
    """
    seeds = generator.uniform(size=(grains, len(cells))) * np.array(cells)
    return nearest_seed(cells, seeds, periodic)


def nearest_seed(
    cells: tuple[int, ...], seeds: Float[np.ndarray, "grains d"], periodic: bool = True
) -> Int[np.ndarray, "*cells"]:
    """Return the number of the seed nearest to the centre of each cell, seeds in units of cells."""
    centres = np.stack(np.meshgrid(*[np.arange(n) + 0.5 for n in cells], indexing="ij"), -1)
    tree = KDTree(seeds, boxsize=np.array(cells, dtype=float) if periodic else None)
    return np.asarray(tree.query(centres)[1])


def random_rotations(count: int, generator: np.random.Generator) -> Float[np.ndarray, "count 3 3"]:
    """Return rotations that are uniform over the group."""
    return Rotation.random(count, rng=generator).as_matrix()
