"""Constraints: what is invalid, how fast designs and optima come beside the peers, what generators and recipes gain."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from benchmarks.record import UnavailableError


def measure(smoke: bool) -> dict[str, Any]:
    """Return the figures of every part.

    Raises:
        UnavailableError: BoTorch is not installed, or a part lacks its data.
    """
    if find_spec("botorch") is None:
        raise UnavailableError("botorch is not installed: pip install '.[peers]'")
    return {figure: value for part in _parts() for figure, value in part(smoke).items()}


def _parts() -> list[Callable[[bool], dict[str, Any]]]:
    from benchmarks.constraints.dichalcogenides import measure_dichalcogenides
    from benchmarks.constraints.feasibility import measure_feasibility, measure_guidance
    from benchmarks.constraints.hardness import measure_hardness
    from benchmarks.constraints.mechanisms import measure_mechanisms
    from benchmarks.constraints.optimum import measure_optimum
    from benchmarks.constraints.sampling import measure_sampling

    # What is timed beside peers comes first.
    timed = [measure_sampling, measure_optimum]
    return [
        *timed,
        measure_mechanisms,
        measure_dichalcogenides,
        measure_feasibility,
        measure_guidance,
        measure_hardness,
    ]
