"""Published two-fidelity test functions as pools, with the systematic error of the cheap source swept."""

from collections.abc import Callable

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import qmc

from benchmarks.decisions.tasks import Task, best_task

TARGET_EUR = 300.0
POOL = 1000
TOP, GOAL, INITIAL = 10, 5, 10
Function = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def synthetic(name: str, bias: float, ratio: float) -> Task:
    """Return a pool of 1000 Sobol points of a published function; the lowest values are best but for Park's.

    Args:
        name: branin, park, hartmann3 or hartmann6.
        bias: systematic error added to the published low fidelity, relative to its standard deviation: a smooth
            function unrelated to either fidelity. 0 leaves the published low fidelity as it is.
        ratio: price of the target over that of the cheap source.
    """
    function, dimensions, sign = _FUNCTIONS[name]
    unit = qmc.Sobol(dimensions, rng=np.random.default_rng(0)).random(1024)[:POOL]
    low, high = function(unit)
    cheap = low + bias * low.std() * _distortion(unit)
    prices, label = (TARGET_EUR / ratio, TARGET_EUR), f"{name} bias {bias:g} ratio {ratio:g}"
    values = np.column_stack([cheap, high])
    return best_task(label, unit, values, prices, top=TOP, sign=sign, goal=GOAL, initial=INITIAL)


def synthetic_families(seed: int) -> tuple[Task, ...]:
    """Draw one task from each of two Gaussian-process priors: 500 points in 4 dimensions.

    The cheap source is rho f + sqrt(1 - rho^2) g with independent draws f (the target) and g, and rho uniform in
    (0, 1): sources from useless to nearly perfect. The price ratio is log-uniform in 3 to 300.
    """
    return tuple(_drawn(name, np.random.default_rng((seed, number))) for number, name in enumerate(("rbf", "matern")))


def branin(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Branin's function and its low fidelity, the augmented Branin at fidelity 0 (Wu et al. 2019).

    Practical multi-fidelity Bayesian optimization for hyperparameter tuning, arXiv 1903.04703; as in BoTorch.
    """
    x, y = 15.0 * unit[:, 0] - 5.0, 15.0 * unit[:, 1]
    wave = 10.0 * (1.0 - 1.0 / (8.0 * np.pi)) * np.cos(x) + 10.0
    low, high = (
        (y - (5.1 / (4.0 * np.pi**2) - shift) * x**2 + 5.0 * x / np.pi - 6.0) ** 2 + wave for shift in (0.1, 0.0)
    )
    return low, high


def park(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Park's first function (1991) and its low fidelity (Xiong, Qian and Wu 2013, 10.1080/00401706.2012.723572).

    The highest values are best: the lowest lie in a corner.
    """
    a, b, c, d = np.maximum(unit, 1e-8).T
    high = 0.5 * a * (np.sqrt(1.0 + (b + c**2) * d / a**2) - 1.0) + (a + 3.0 * d) * np.exp(1.0 + np.sin(c))
    return (1.0 + np.sin(a) / 10.0) * high - 2.0 * a + b**2 + c**2 + 0.5, high


def hartmann3(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Hartmann's function of 3 variables and its low fidelity at A = 0.5 (Toal 2015).

    Some considerations regarding the use of multi-fidelity Kriging, 10.1007/s00158-014-1209-5: the centres moved.
    """
    low, high = (-np.exp(-_distances(unit, _WIDTH_3, factor * _CENTRE_3)) @ _HEIGHT for factor in (0.75 * 1.5, 1.0))
    return low, high


def hartmann6(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Hartmann's function of 6 variables and its low fidelity (Park, Haftka and Kim 2017).

    Remarks on multi-fidelity surrogates, 10.1007/s00158-016-1550-y: other heights, and the exponential replaced by
    the ninth power of its tangent. The domain is [0.1, 1].
    """
    distance = _distances(0.1 + 0.9 * unit, _WIDTH_6, _CENTRE_6)
    tangent = (np.exp(-4.0 / 9.0) * (1.0 + (4.0 - distance) / 9.0)) ** 9
    return -(2.58 + tangent @ np.array([0.5, 0.5, 2.0, 4.0])) / 1.94, -(2.58 + np.exp(-distance) @ _HEIGHT) / 1.94


def _distortion(unit: np.ndarray) -> np.ndarray:
    """Return a smooth function of the position with mean 0 and deviation 1 over the pool."""
    waves = np.cos(np.pi * unit * np.array([1.5, 2.5, 1.0, 2.0, 3.0, 0.5])[: unit.shape[1]] - 2.0).sum(axis=1)
    return (waves - waves.mean()) / waves.std()


def _distances(points: np.ndarray, width: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.sum(width * (points[:, None] - centre) ** 2, axis=-1)


def _drawn(name: str, random: np.random.Generator) -> Task:
    points, correlation = random.random((500, 4)), random.uniform()
    distance = cdist(points, points) / random.uniform(0.2, 0.8)
    root = np.sqrt(5.0) * distance
    kernel = np.exp(-0.5 * distance**2) if name == "rbf" else (1.0 + root + root**2 / 3.0) * np.exp(-root)
    target, other = np.linalg.cholesky(kernel + 1e-6 * np.eye(500)) @ random.standard_normal((500, 2)).T[..., None]
    cheap = correlation * target + np.sqrt(1.0 - correlation**2) * other
    prices = (TARGET_EUR / 3.0 / 100.0 ** random.uniform(), TARGET_EUR)
    values, label = np.column_stack([cheap, target]), f"{name} rho {correlation:.2f}"
    return best_task(label, points, values, prices, top=TOP, sign=1.0, goal=GOAL, initial=INITIAL)


_HEIGHT = np.array([1.0, 1.2, 3.0, 3.2])
_WIDTH_3 = np.array([[3.0, 10.0, 30.0], [0.1, 10.0, 35.0], [3.0, 10.0, 30.0], [0.1, 10.0, 35.0]])
_CENTRE_3 = 1e-4 * np.array([[3689, 1170, 2673], [4699, 4387, 7470], [1091, 8732, 5547], [381, 5743, 8828]])
_WIDTH_6 = np.array(
    [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ]
)
_CENTRE_6 = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
_FUNCTIONS: dict[str, tuple[Function, int, float]] = {
    "branin": (branin, 2, 1.0),
    "park": (park, 4, -1.0),
    "hartmann3": (hartmann3, 3, 1.0),
    "hartmann6": (hartmann6, 6, 1.0),
}
