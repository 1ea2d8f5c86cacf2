"""What cells that straddle a boundary add to the error of a stiffness.

A grain map gives each cell to the grain that has most of it. Where a boundary crosses a row of cells, one cell holds up
to a half of the grain beside, a share uniform between none and a half, of mean square 1/12: the cell on this side of
the boundary of the map or the one on the other side, equally often. The stiffness of each is off by its share times the
difference of the two grains. Cells are taken as independent.
"""

import numpy as np
import scipy.ndimage
from jaxtyping import Bool, Float, Int

from physics.elasticity.finite_elements import cell_integrals
from pinn.stiffness.equilibrium import Equilibrium, Profile

MEAN_SQUARE_SHARE = 1.0 / 24.0


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
