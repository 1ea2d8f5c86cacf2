"""Money to the k-th find: the decision core against BoTorch, the funnel and chance, on replayed campaigns.

Beside the money: what a decision costs in time, what a bad cheap source costs, and how honest the predictions are.
"""

from importlib.util import find_spec
from typing import Any

from benchmarks.record import UnavailableError


def measure(smoke: bool) -> dict[str, Any]:
    """Return the figures of every part; what is missing on this machine is said before anything runs."""
    _need_peers_and_data()
    from benchmarks.decisions.calibration import measure_calibration
    from benchmarks.decisions.compilations import measure_compilations
    from benchmarks.decisions.harm import measure_harm
    from benchmarks.decisions.money import measure_money
    from benchmarks.decisions.speed_ours import measure_speed

    parts = measure_speed, measure_compilations, measure_calibration, measure_harm, measure_money
    return {figure: value for part in parts for figure, value in part(smoke).items()}


def _need_peers_and_data() -> None:
    if find_spec("botorch") is None:
        raise UnavailableError("BoTorch is not installed: pip install .[peers]")
    from benchmarks.decisions.tasks import alloys, gap_window

    for task in alloys, gap_window:
        task()
