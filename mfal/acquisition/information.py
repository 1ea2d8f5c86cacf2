"""Information (nats) that an answer gives about f_T <= f*: the integral itself, and a table of it for whole pools.

With g = (f* - mu_T) / s_T and rho the correlation of the answer with the candidate's own target value,

    I(g, rho^2) = rho^2 g phi(g) / (2 Phi(g)) + E_u[w log w],    w = Phi((g - rho u) / sqrt(1 - rho^2)) / Phi(g)

under u ~ N(0, 1) (Takeno et al. 2020, sec. 3, arXiv 1901.08275). With rho = 1 it is the single-fidelity gain (Wang and
Jegelka 2017, eq. 6, arXiv 1703.01968).

Divided by rho^2 exp(-max(g, 0)^2 / 2) it is smooth and of order one: a polynomial in sqrt(1 - rho^2), its coefficients
tabulated over g. A pool is scored with a few table rows a candidate and sample instead of an integral.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import log_ndtr

from mfal.types import Array, Float


def information(gap: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return I by quadrature, to 1e-9 of itself; arguments broadcast.

    Args:
        gap: g, -6 where it is lower.
        share: rho^2, in [0, 1].
    """
    gap, share = np.broadcast_arrays(np.maximum(np.asarray(gap, float), _LOWEST), np.asarray(share, float))
    least = np.maximum(share, _NO_SHARE)
    rho, left = np.sqrt(least), np.sqrt(1.0 - least)
    log_below = log_ndtr(gap)
    bend, width = gap / rho, _BEND * np.maximum(left, 1e-12) / rho
    low, high = -np.hypot(np.minimum(gap, 0.0), _REACH), np.maximum(gap, 0.0) + _REACH
    middle = np.clip(bend - width, low, high), np.clip(bend + width, low, high)
    total = 0.5 * least * gap * np.exp(-0.5 * gap**2 - log_below) / np.sqrt(2.0 * np.pi)
    for start, end, panels in ((low, middle[0], 4), (middle[0], middle[1], 8), (middle[1], high, 4)):
        total += _integral(gap, rho, left, log_below, start, end, panels)
    return share / least * np.maximum(total, 0.0)


def mean_information(gap: Float[Array, "n count"], share: Float[Array, "n L"]) -> Float[Array, "n L"]:
    """Return I averaged over samples of f*, to 1e-4 of itself (1e-2 where g exceeds 12).

    Args:
        gap: g of every candidate and sample.
        share: rho^2 of an answer at every fidelity.
    """
    table = jnp.asarray(_table(), dtype=gap.dtype)
    gap = jnp.maximum(gap, _LOWEST)
    at = (gap - _LOWEST) * _DENSITY
    # Beyond the table its last two rows go on in a straight line, as I does divided by its decay.
    row = jnp.minimum(at, table.shape[0] - 2.0).astype(jnp.int32)
    beyond, weight = at - row, jnp.exp(-0.5 * jnp.maximum(gap, 0.0) ** 2) / gap.shape[1]

    def add(total: Array, sample: tuple[Array, Array, Array]) -> tuple[Array, None]:
        row, beyond, weight = sample
        return total + weight[:, None] * (table[row] + beyond[:, None] * (table[row + 1] - table[row])), None

    # One sample after the other: nothing of size candidates x samples x terms is ever in memory.
    start = jnp.zeros((gap.shape[0], _TERMS), gap.dtype)
    coefficients = jax.lax.scan(add, start, (row.T, beyond.T, weight.T))[0]
    unexplained = 2.0 * jnp.sqrt(jnp.clip(1.0 - share, 0.0, 1.0)) - 1.0
    return share * _chebyshev(coefficients[:, None, :], unexplained)


# Six deviations: a best value further below a candidate's mean is a flaw of the samples, not news about the candidate.
_LOWEST, _HIGHEST = -6.0, 12.0
# Rows of the table in a unit of g, and coefficients in a row.
_DENSITY, _TERMS = 64, 8
# Below this share I is proportional to it, and differences of logarithms would be rounding.
_NO_SHARE = 1e-6
# Reach of a normal variable, and of the bend of w, in deviations.
_REACH, _BEND = 9.0, 8.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(16)


@cache
def _table() -> np.ndarray:
    """Return Chebyshev coefficients in 2 sqrt(1 - rho^2) - 1, a row for each g."""
    gap = np.linspace(_LOWEST, _HIGHEST, int((_HIGHEST - _LOWEST) * _DENSITY) + 1)[:, None]
    at = np.cos(np.pi * (np.arange(_TERMS) + 0.5) / _TERMS)
    share = np.maximum(1.0 - (0.5 * (at + 1.0)) ** 2, _NO_SHARE)
    scaled = information(gap, share) / share * np.exp(0.5 * np.maximum(gap, 0.0) ** 2)
    return np.linalg.solve(np.polynomial.chebyshev.chebvander(at, _TERMS - 1), scaled.T).T


def _integral(
    gap: np.ndarray,
    rho: np.ndarray,
    left: np.ndarray,
    log_below: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    panels: int,
) -> np.ndarray:
    """Return the integral of phi(u) (w log w - w + 1); as E w = 1 that is E[w log w], without cancellation."""
    total, half = np.zeros_like(gap), 0.5 * (end - start) / panels
    for panel in range(panels):
        for node, weight in zip(_NODES, _WEIGHTS, strict=True):
            at = start + half * (2 * panel + 1.0 + node)
            log = np.maximum(log_ndtr((gap - rho * at) / np.maximum(left, 1e-12)) - log_below, -700.0)
            excess = np.exp(log) * log - np.expm1(log)
            near = log**2 * (0.5 + log / 3.0 + log**2 / 8.0)
            total += weight * half * np.exp(-0.5 * at**2) * np.where(np.abs(log) < 1e-4, near, excess)
    return total / np.sqrt(2.0 * np.pi)


def _chebyshev(coefficients: Float[Array, "... terms"], at: Float[Array, "..."]) -> Float[Array, "..."]:
    """Return the sum of a Chebyshev series (Clenshaw 1955)."""
    ahead, beyond = jnp.zeros_like(at), jnp.zeros_like(at)
    for term in range(_TERMS - 1, 0, -1):
        ahead, beyond = coefficients[..., term] + 2.0 * at * ahead - beyond, ahead
    return coefficients[..., 0] + at * ahead - beyond
