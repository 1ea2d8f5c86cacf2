"""What a queue costs a job: many short jobs through mfal's queue, plain AiiDA and Parsl, each in a process of its own.

Plain AiiDA is one `CalcJob` a job, as its documentation shows; Parsl keeps two workers that stay alive.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COUNT, SMOKE_COUNT = 200, 8
JOB_SECONDS, PROCESSES, TOGETHER = 0.05, 2, 10
ARMS = ("mfal", "aiida", "parsl")


def measure_throughput(smoke: bool) -> dict[str, Any]:
    """Return seconds of overhead a job, start and stop of the services included, and the ratios of the peers."""
    count = SMOKE_COUNT if smoke else COUNT
    found = {arm: _seconds(arm, count) for arm in ARMS}
    overhead = {arm: seconds / count - JOB_SECONDS / PROCESSES for arm, seconds in found.items() if seconds is not None}
    figures: dict[str, Any] = {"overhead_jobs": count}
    for arm, each in overhead.items():
        name = "overhead" if arm == "mfal" else f"overhead_{arm}"
        figures |= {f"{name}_s_per_job": round(each, 4)}
        figures |= {f"overhead_ratio_{arm}": round(each / overhead["mfal"], 2)} if arm != "mfal" else {}
    return figures


def _seconds(arm: str, count: int) -> float | None:
    """Run one arm; None where its package is missing or it fails."""
    with tempfile.TemporaryDirectory(prefix=f"mfal-{arm}-") as folder:
        # AiiDA makes a folder in the home directory unless it is told where to look
        environment = os.environ | {"AIIDA_PATH": folder, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        command = [sys.executable, "-m", f"benchmarks.dft_queue.arm_{arm}", folder, str(count)]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        print(f"{arm} failed: {done.stderr.strip().splitlines()[-1:]}", file=sys.stderr)
        return None
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])
