"""Measuring at random: exact expectations, no simulation."""

from collections.abc import Sequence

import numpy as np
from scipy.special import gammaln
from scipy.stats import hypergeom


def expected_eur(count: int, hits: int, candidates: int, price_eur: float) -> float:
    """Return the expected money until `count` of `hits` are found by measuring in random order.

    The r-th of k marked items among n drawn without replacement comes on average at draw r (n + 1) / (k + 1)
    (negative hypergeometric distribution, Johnson, Kemp and Kotz 2005, ch. 6.2.2).
    """
    return price_eur * count * (candidates + 1) / (hits + 1)


def hits_after(measurements: int, hits: int, candidates: int, level: float) -> tuple[float, float, float]:
    """Return the expected number of hits after some random measurements, and its central interval at `level`."""
    found = hypergeom(candidates, hits, measurements)
    low, high = found.ppf([0.5 * (1.0 - level), 0.5 * (1.0 + level)])
    return measurements * hits / candidates, float(low), float(high)


def best_after(measurements: int, values: Sequence[float], level: float) -> tuple[float, float, float]:
    """Return the expected best of some random measurements, and its central interval at `level`.

    The best of m draws without replacement from n has rank r with probability C(n - r, m - 1) / C(n, m).

    Args:
        measurements: m, at least one.
        values: of all candidates, best first.
        level: of the interval.
    """
    rank = np.arange(1, len(values) - measurements + 2)
    log_ways = _log_choose(len(values) - rank, measurements - 1)
    chance = np.exp(log_ways - _log_choose(np.array([len(values)]), measurements))
    below = np.cumsum(chance)
    ends = [0.5 * (1.0 - level), 0.5 * (1.0 + level)]
    low, high = (values[int(min(np.searchsorted(below, end), len(rank) - 1))] for end in ends)
    return float(chance @ np.asarray(values)[rank - 1]), float(low), float(high)


def _log_choose(n: np.ndarray, k: int) -> np.ndarray:
    return gammaln(n + 1.0) - gammaln(k + 1.0) - gammaln(n - k + 1.0)
