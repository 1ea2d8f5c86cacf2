"""The funnel: screen everything at the cheap fidelity, then measure down the ranking."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

# Pairs from which the screening value is corrected by a straight line; with fewer, by their mean difference.
_LINE = 3


def funnel_order(screened: Mapping[str, float], merit: Callable[[float], float]) -> list[str]:
    """Return candidates from the most to the least promising by one fidelity.

    Args:
        screened: its value by candidate.
        merit: how far a value is from the best there could be; low is good.
    """
    return sorted(screened, key=lambda candidate: (merit(screened[candidate]), candidate))


def corrected_order(
    screened: Mapping[str, float], truth: Mapping[str, float], merit: Callable[[float], float]
) -> list[str]:
    """Return the order of measurement when each one also corrects the bias of the screening.

    A window needs values, not a ranking: the screening value is corrected by what has been measured so far.

    Args:
        screened: value of the screening by candidate.
        truth: what a measurement gives; a candidate without one fails, and corrects nothing.
        merit: how far a value is from the best there could be; low is good.
    """
    left, order, pairs = dict(screened), [], []
    while left:
        slope, offset = _correction(pairs)
        best = min(left, key=lambda candidate: (merit(offset + slope * left[candidate]), candidate))
        if best in truth:
            pairs.append((left[best], truth[best]))
        order.append(best)
        del left[best]
    return order


def curve(order: Sequence[str], reach: Callable[[Sequence[str]], float], screen_eur: float, price_eur: float) -> list:
    """Return (EUR spent, what is reached) after the screening and after each measurement in order."""
    return [(screen_eur + rank * price_eur, reach(order[:rank])) for rank in range(len(order) + 1)]


def eur_to_reach(points: Sequence[tuple[float, float]], goal: float, sign: float = 1.0) -> float | None:
    """Return the money at which a curve first reaches `goal`, or None if it never does.

    Args:
        points: (EUR, what is reached).
        goal: number of hits, or value.
        sign: +1 if more is better, -1 if less is.
    """
    return next((eur for eur, reached in points if sign * reached >= sign * goal), None)


def _correction(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return slope and offset of the truth on the screening."""
    x, y = np.array(pairs).reshape(-1, 2).T
    if not len(x):
        return 1.0, 0.0
    spread = float(np.var(x))
    line = len(x) >= _LINE and spread > 1e-12 * (1.0 + float(np.mean(x**2)))
    slope = float(np.mean((x - x.mean()) * (y - y.mean()))) / spread if line else 1.0
    return slope, float(y.mean() - slope * x.mean())
