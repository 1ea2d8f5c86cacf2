"""Inverse problems: errors of rates and stiffness against noise, their intervals, peers beside us, and the advice."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from benchmarks.record import UnavailableError


def measure(smoke: bool) -> dict[str, Any]:
    """Return the figures of every part.

    Raises:
        UnavailableError: DeepXDE is not installed.
    """
    if find_spec("deepxde") is None:
        raise UnavailableError("deepxde is not installed: pip install '.[peers]'")
    return {figure: value for part in _parts() for figure, value in part(smoke).items()}


def _parts() -> list[Callable[[bool], dict[str, Any]]]:
    from benchmarks.inverse.accuracy import measure_accuracy
    from benchmarks.inverse.advice import measure_advice
    from benchmarks.inverse.burgers import measure_burgers
    from benchmarks.inverse.plate import measure_plate

    return [measure_accuracy, measure_plate, measure_burgers, measure_advice]
