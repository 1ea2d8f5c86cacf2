"""The job that all queues are given."""

import time
from collections.abc import Mapping
from typing import Any

from benchmarks.dft_queue.throughput import JOB_SECONDS


def pause(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Wait, then answer."""
    time.sleep(JOB_SECONDS)
    return {"value": spec["value"]}
