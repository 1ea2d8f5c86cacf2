"""Fits in processes of their own, one thread each, so that processor time is what one fit costs."""

import json
import os
import shutil
import subprocess
import sys
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false"}


def run_apart(module: str, *arguments: object) -> Any:
    """Return what a module prints as JSON in its last line.

    Raises:
        RuntimeError: it ended with another status than 0.
    """
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **ONE_THREAD})
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def clock_options() -> tuple[str, ...]:
    """Return what an arm is told where there is an accelerator, whose work processor time does not count."""
    return ("--wall",) if shutil.which("nvidia-smi") else ()
