"""What cells that straddle a boundary add to the error of a stiffness.

A grain map gives each cell to one grain. Along a boundary up to half of a cell belongs to the other grain, unknown how
much: for a share that is uniform between none and a half, the stiffness of the cell is off by its difference between
the two grains times a factor of mean square 1/12. Cells are taken as independent; no fit sees finer than they are.
"""

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Int

from physics.elasticity.finite_elements import cell_integrals
from pinn.homogenisation_equilibrium import Equilibrium, Profile

MEAN_SQUARE_SHARE = 1.0 / 12.0


def straddling_scatter(
    equilibrium: Equilibrium, stiffness: Float[np.ndarray, "grains m m"], profile: Profile
) -> Float[np.ndarray, "p p"]:
    """Return the covariance of the gradient at the maximum that straddling cells cause; `stiffness` as internally."""
    grains = equilibrium.fields.grain_map
    straddles, other = _neighbours(grains)
    change = stiffness[other[straddles]] - stiffness[grains[straddles]]
    unknowns = equilibrium.mesh.cell_unknowns[straddles.ravel()]
    integrals = cell_integrals(grains.ndim)
    scores = np.zeros((len(unknowns), len(profile.gradient)))
    for state, response in zip(profile.states, profile.responses, strict=True):
        forces = np.einsum("ijkl,nij,nl->nk", integrals, change, state[unknowns], optimize=True)
        scores += np.einsum("nk,nkp->np", forces, response[unknowns])
    return MEAN_SQUARE_SHARE * scores.T @ scores


def _neighbours(grains: Int[np.ndarray, "*cells"]) -> tuple[Bool[np.ndarray, "*cells"], Int[np.ndarray, "*cells"]]:
    """Return which cells have a cell of another grain beside them, and a grain found there."""
    above, below = (extreme(grains, footprint=_cross(grains.ndim)) for extreme in _EXTREMES)
    other = np.where(above != grains, above, below)
    return other != grains, other


_EXTREMES = (scipy.ndimage.maximum_filter, scipy.ndimage.minimum_filter)


def _cross(dimension: int) -> Bool[np.ndarray, "*three"]:
    return scipy.ndimage.generate_binary_structure(dimension, 1)
