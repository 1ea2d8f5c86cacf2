"""Where and on what a benchmark ran."""

import os
import platform
import subprocess


class UnavailableError(RuntimeError):
    """A peer or a table that a benchmark needs is not on this machine."""


def context() -> dict[str, object]:
    """Return commit, device and versions; a dirty tree is marked, so that no figure is credited to the wrong code."""
    return {"commit": _commit(), "device": _processor(), "cores": os.cpu_count(), "python": platform.python_version()}


def _commit() -> str:
    commit = _git("rev-parse", "--short=12", "HEAD")
    return commit + ("+changes" if _git("status", "--porcelain", "--untracked-files=no") else "")


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
