"""The DFT queue: kills, overhead beside plain AiiDA and Parsl, and many queued jobs."""

from importlib.util import find_spec
from typing import Any

from benchmarks.dft_queue.account import measure_account
from benchmarks.dft_queue.many import measure_many
from benchmarks.dft_queue.throughput import measure_throughput
from benchmarks.dft_queue.trials import measure_trials
from benchmarks.record import UnavailableError


def measure(smoke: bool) -> dict[str, Any]:
    """Return all figures."""
    if find_spec("aiida") is None:
        raise UnavailableError("AiiDA is not installed: pip install .[queue]")
    return measure_throughput(smoke) | measure_many(smoke) | measure_trials(smoke) | measure_account(smoke)
