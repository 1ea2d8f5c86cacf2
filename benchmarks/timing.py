"""How long a call takes."""

import time
from collections.abc import Callable
from typing import Any


def seconds_of(call: Callable[[], Any], repeats: int = 1) -> float:
    """Return the time of the fastest of some calls."""
    return min(timed(call)[0] for _ in range(repeats))


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return the time of a call and what it returned."""
    begin = time.perf_counter()
    found = call()
    return time.perf_counter() - begin, found
