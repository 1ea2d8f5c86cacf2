"""Inverse problems: errors of rates and stiffness against noise, their intervals, peers beside us, and the advice."""

from collections.abc import Callable
from typing import Any


def measure(smoke: bool) -> dict[str, Any]:
    """Return the figures of every part.

    Raises:
        UnavailableError: DeepXDE is not installed.
    """
    from benchmarks.inverse.peers import need_deepxde

    need_deepxde()
    return {figure: value for part in _parts() for figure, value in part(smoke).items()}


def _parts() -> list[Callable[[bool], dict[str, Any]]]:
    from benchmarks.inverse.accuracy import measure_accuracy
    from benchmarks.inverse.advice import measure_advice
    from benchmarks.inverse.burgers import measure_burgers
    from benchmarks.inverse.movies import measure_movies
    from benchmarks.inverse.plate import measure_plate
    from benchmarks.inverse.unknown_term import measure_unknown_term
    from benchmarks.inverse.window import measure_window

    return [
        measure_accuracy,
        measure_plate,
        measure_burgers,
        measure_movies,
        measure_window,
        measure_unknown_term,
        measure_advice,
    ]
