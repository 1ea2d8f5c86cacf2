"""The two movies: a two-phase pattern that coarsens (Allen-Cahn, 2-D) and a composition that separates (Cahn-Hilliard).

Both are made by finite differences on a grid four times finer; nothing of the solvers under test is used.
"""

from dataclasses import dataclass

import numpy as np
import scipy.sparse
from scipy.integrate import solve_ivp

from benchmarks.inverse.truth import FINER, morphology
from pinn.phase_field.models import AllenCahn, CahnHilliard, Camera, Model
from pinn.phase_field.pose import pose
from pinn.phase_field.problem import Problem
from pinn.series import ImageSeries

CAMERA = Camera(gain=1.0, offset=0.0, blur_px=0.0)
# Of the composition: px^4 and px^2 per duration, an interface 3 px wide.
POINTS, SEPARATION_FRAMES = 128, 20
SEPARATION_GRADIENT, SEPARATION_WELL = 800.0, 800.0 * 2 / 9
BEFORE = 0.3  # durations from the first random waves to the first frame


@dataclass(frozen=True)
class Movie:
    """A noisy series, the equation that made it, and its rates per duration, in px."""

    series: ImageSeries
    model: Model
    rates: tuple[float, float]

    def problem(self) -> Problem:
        """Return what every arm is given: the camera known, noise and first field unknown, rates from a coarse scan."""
        return pose(self.series, self.model, CAMERA)


def movie(name: str, noise: float, seed: int, small: bool = False) -> Movie:
    """Return "morphology" or "separation" with white noise; `small` for the short form."""
    if name == "morphology":
        truth = morphology(seed, *((32, 6) if small else (64, 20)))
        return Movie(truth.series(noise, seed + 100), AllenCahn("periodic"), (truth.gradient, truth.well))
    times = np.linspace(0.0, 1.0, SEPARATION_FRAMES)
    frames = separation(seed, times)
    noisy = frames + noise * np.random.default_rng(seed + 100).standard_normal(frames.shape)
    return Movie(ImageSeries(noisy, times), CahnHilliard("periodic"), (SEPARATION_GRADIENT, SEPARATION_WELL))


def separation(seed: int, times: np.ndarray) -> np.ndarray:
    """Return a composition in one dimension, from its first waves on, shape (times, pixels).

    Differences of fourth order, and the backward differentiation formulas of SciPy with the exact Jacobian.
    """
    laplacian = _laplacian(POINTS * FINER, 1 / FINER)
    start = 0.5 + 0.05 * np.random.default_rng(seed).standard_normal(POINTS // 4).repeat(4 * FINER)

    def rate(_: float, c: np.ndarray) -> np.ndarray:
        return laplacian @ (SEPARATION_WELL * 2 * c * (1 - c) * (1 - 2 * c) - SEPARATION_GRADIENT * (laplacian @ c))

    def slope(_: float, c: np.ndarray) -> scipy.sparse.csc_array:
        curvature = scipy.sparse.diags_array(SEPARATION_WELL * (2 - 12 * c * (1 - c)))
        return scipy.sparse.csc_array(laplacian @ (curvature - SEPARATION_GRADIENT * laplacian))

    done = solve_ivp(rate, (-BEFORE, 1.0), start, "BDF", times, jac=slope, rtol=1e-8, atol=1e-10)
    return done.y.T[:, ::FINER]


def _laplacian(points: int, spacing: float) -> scipy.sparse.csr_array:
    """Return the periodic second difference of fourth order."""
    weights = {-2: -1.0, -1: 16.0, 0: -30.0, 1: 16.0, 2: -1.0}
    shifts = [weight * _shift(points, offset) for offset, weight in weights.items()]
    return scipy.sparse.csr_array(sum(shifts[1:], shifts[0]) / (12 * spacing**2))


def _shift(points: int, offset: int) -> scipy.sparse.csr_array:
    rows = np.arange(points)
    return scipy.sparse.csr_array((np.ones(points), (rows, (rows + offset) % points)), shape=(points, points))
