"""Whether SLURM answers and takes jobs; whoever finds that it does not waits for it."""

import shutil
import subprocess

LIMIT_SECONDS = 25.0  # SLURM's own programs give up after ten, and say why
CLOSED = ("down", "drain", "fail")  # how the states of nodes begin that start no job


def slurm_problem() -> str:
    """Return why SLURM runs no jobs from here; empty if it does."""
    if shutil.which("sinfo") is None:
        return "sinfo is not on the PATH; run this on a machine that submits to SLURM"
    command = ["sinfo", "-h", "-o", "%T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"sinfo does not answer within {LIMIT_SECONDS:g} s; see to the controller"
    return f"{done.stderr.strip()}; see to the controller" if done.returncode else _closed(done.stdout)


def _closed(states: str) -> str:
    found = sorted(set(states.split()))
    closed = bool(found) and all(state.startswith(CLOSED) for state in found)
    return f"every node is {' or '.join(found)}; sinfo -R says why, scontrol update resumes one" if closed else ""
