"""Measuring at random: exact expectations, no simulation."""

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
