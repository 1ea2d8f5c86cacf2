"""Constraints: feasible designs per second beside the peers, and how many of them are none."""

from importlib.util import find_spec
from typing import Any

from benchmarks.record import UnavailableError


def measure(smoke: bool) -> dict[str, Any]:
    """Return the figures that can be measured so far.

    Raises:
        UnavailableError: BoTorch is not installed.
    """
    if find_spec("botorch") is None:
        raise UnavailableError("botorch is not installed: pip install '.[peers]'")
    from benchmarks.constraints.sampling import measure_sampling

    return measure_sampling(smoke)
