"""What every process of a queue is given, and the end of what it has said."""

import os
from pathlib import Path

# A second thread in a job would take the core of another one.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
LOG_LINES = 5


def search_path() -> str:
    """Return PYTHONPATH: this checkout, then what was there before."""
    checkout = str(Path(__file__).resolve().parents[2])
    return os.pathsep.join(part for part in (checkout, os.environ.get("PYTHONPATH", "")) if part)


def last_lines(log: str) -> str:
    """Return the end of a log in a line."""
    said = [line.strip() for line in log.splitlines() if line.strip()]
    return " | ".join(said[-LOG_LINES:]) or "the log is empty"
