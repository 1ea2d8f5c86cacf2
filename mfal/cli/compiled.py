"""Keep compiled decisions between runs: compiling takes longer than most decisions do."""

import hashlib
import os
import platform
from pathlib import Path


def keep_compiled() -> None:
    """Point JAX's cache of compiled functions to a folder of this user, unless the environment says otherwise.

    Must be called before JAX is imported. Set JAX_ENABLE_COMPILATION_CACHE=false to go without.
    """
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_folder())
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def _folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "mfal" / f"jax-{platform.machine()}-{_processor()}"


def _processor() -> str:
    """Return what tells processors apart: code compiled for one may use instructions that another lacks."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        what = next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        what = platform.processor()
    return hashlib.sha256(what.encode()).hexdigest()[:12]
