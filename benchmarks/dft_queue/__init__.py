"""The DFT queue: kills, overhead beside plain AiiDA and Parsl, many queued jobs; and what its answers are worth."""

from importlib.util import find_spec
from typing import Any

from benchmarks.dft_queue import delta
from benchmarks.dft_queue.account import measure_account
from benchmarks.dft_queue.intermetallics import measure_intermetallics
from benchmarks.dft_queue.many import measure_many
from benchmarks.dft_queue.solids import measure_solids
from benchmarks.dft_queue.throughput import measure_throughput
from benchmarks.dft_queue.trials import measure_trials
from benchmarks.record import UnavailableError


def measure(smoke: bool) -> dict[str, Any]:
    """Return all figures."""
    if find_spec("aiida") is None:
        raise UnavailableError("AiiDA is not installed: pip install .[queue]")
    queue = measure_throughput(smoke) | measure_many(smoke) | measure_trials(smoke) | measure_account(smoke)
    return queue | delta.measure(smoke) | measure_solids(smoke) | measure_intermetallics(smoke)
