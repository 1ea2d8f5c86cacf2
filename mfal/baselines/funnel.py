"""The funnel: screen everything at the cheap fidelity, then measure down the ranking."""

from collections.abc import Mapping, Sequence


def funnel_order(screened: Mapping[str, float], sign: float) -> list[str]:
    """Return candidates from the most to the least promising by one fidelity.

    Args:
        screened: its value by candidate.
        sign: +1 if low values are best, -1 if high ones are.
    """
    return sorted(screened, key=lambda candidate: (sign * screened[candidate], candidate))


def funnel_curve(
    order: Sequence[str], hits: frozenset[str], screen_eur: float, price_eur: float
) -> list[tuple[float, int]]:
    """Return (EUR spent, hits found) after the screening and after each measurement down the ranking."""
    curve, found = [(screen_eur, 0)], 0
    for rank, candidate in enumerate(order, start=1):
        found += candidate in hits
        curve.append((screen_eur + rank * price_eur, found))
    return curve


def eur_to_find(curve: Sequence[tuple[float, int]], count: int) -> float | None:
    """Return the money at which a curve first reaches `count` hits, or None if it never does."""
    return next((eur for eur, found in curve if found >= count), None)
