"""AiiDA's daemon for a campaign: started, watched, mended, stopped. Runs only where the profile is loaded."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import psutil
from aiida.engine.daemon.client import DaemonClient, DaemonException, get_daemon_client

START_SECONDS, STARTS = 30, 3
FRESH_SECONDS = 20.0  # the broker writes its status every five


def ensure_running(root: Path, workers: int) -> bool:
    """Start the daemon unless it answers and its broker has workers; return whether it had to be started.

    Raises:
        DaemonException: it does not start, tried several times: who is killed while starting may start the next time.
    """
    client = get_daemon_client()
    if is_healthy(root, client):
        return False
    for _ in range(STARTS - 1):
        with contextlib.suppress(DaemonException):
            _start(root, client, workers)
            return True
    _start(root, client, workers)
    return True


def _start(root: Path, client: DaemonClient, workers: int) -> None:
    stop(root, client)
    forget_sockets(root)
    client.start_daemon(workers, timeout=START_SECONDS)
    wait_until_healthy(root, client)


def is_healthy(root: Path, client: DaemonClient) -> bool:
    """Tell whether circus answers and the broker has heard of a worker lately."""
    return client.is_daemon_running and subscribers(root) > 0


def wait_until_healthy(root: Path, client: DaemonClient) -> None:
    """Wait until a worker has subscribed.

    Raises:
        DaemonException: none has in time.
    """
    until = time.monotonic() + START_SECONDS
    while not is_healthy(root, client):
        if time.monotonic() > until:
            raise DaemonException(f"no worker subscribed within {START_SECONDS} s; see the logs below {root}")
        time.sleep(0.2)


def subscribers(root: Path) -> int:
    """Return the workers that the broker knows, as of its last status; none if that is old."""
    found = [_status(path) for path in _broker_files(root, "broker.status")]
    fresh = [status for status in found if time.time() - status.get("timestamp", 0) < FRESH_SECONDS]
    return max((int(status.get("task_subscribers", 0)) for status in fresh), default=0)


def stop(root: Path, client: DaemonClient | None = None) -> None:
    """Stop the daemon, and what a killed one has left behind; calculations go on."""
    client = client or get_daemon_client()
    with contextlib.suppress(DaemonException):
        if client.is_daemon_running:
            client.stop_daemon(wait=True, timeout=10)
    left = processes(root)
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=10)


def processes(root: Path) -> list[psutil.Process]:
    """Return circus, the broker and the workers of this profile."""
    found = [one for one in psutil.process_iter(["cmdline"]) if _belongs(one, root)]
    # circus renames itself, which wipes its environment; it would start its workers again
    masters = [parent for one in found if (parent := one.parent()) is not None and parent.name() == "circusd"]
    return list(dict.fromkeys([*masters, *found]))


def _belongs(process: psutil.Process, root: Path) -> bool:
    line = " ".join(process.info["cmdline"] or ())
    if not any(name in line for name in ("verdi", "circus")):
        return False
    try:
        return process.environ().get("AIIDA_PATH", "").startswith(str(root))  # AiiDA adds its own folder to it
    except psutil.Error:
        return False


def forget_sockets(root: Path) -> None:
    """Remove what a killed broker has left: a new one may attach to the dead socket and stall without a word."""
    for name in ("broker.sockets", "broker.status", "broker.pid"):
        for path in _broker_files(root, name):
            path.unlink(missing_ok=True)


def _broker_files(root: Path, name: str) -> list[Path]:
    return sorted(root.glob(f".aiida/broker/*/{name}"))


def _status(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
