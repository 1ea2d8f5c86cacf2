"""Kill trials on this machine, and through SLURM where it answers; see `benchmarks.faults`."""

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.faults import torment
from physics.queues import slurm_problem

KILLS, SMOKE_KILLS = 30, 2


def measure_trials(smoke: bool) -> dict[str, Any]:
    """Return kills, and what was lost, run twice or stood still, over all computers."""
    computers = ["local", *(["slurm"] if not slurm_problem() else [])]
    trials = [_trial(computer, SMOKE_KILLS if smoke else KILLS) for computer in computers]
    return {
        "kills": sum(sum(trial.kills.values()) for trial in trials),
        "kill_computers": computers,
        "lost": sum(trial.lost for trial in trials),
        "executed_twice": sum(trial.executed_twice for trial in trials),
        "stalls": sum(trial.stalled for trial in trials),
    }


def _trial(computer: str, kills: int) -> Any:
    with tempfile.TemporaryDirectory(prefix="mfal-faults-") as folder:
        return torment(Path(folder), kills, computer, 0, lambda text: None)
