"""Batches that AiiDA's database knows and its broker does not: a kill between the two would leave them for ever."""

import json
from datetime import timedelta
from pathlib import Path

from aiida.common import timezone
from aiida.engine.processes.control import get_active_processes, revive_processes
from aiida.orm import ProcessNode

OLD_SECONDS = 5.0  # handing over takes a fraction of a second


def revive_forgotten(root: Path) -> int:
    """Give the broker a task for each active process that has none; return how many there were.

    Should such a process have been under way after all, `physics.queue.run_job` computes nothing twice.
    """
    processes = forgotten(root)
    if processes:
        revive_processes(processes)
    return len(processes)


def forgotten(root: Path) -> list[ProcessNode]:
    """Return active processes without a task."""
    before, tasks = timezone.now() - timedelta(seconds=OLD_SECONDS), _tasks(root)
    active: list[ProcessNode] = get_active_processes()
    return [node for node in active if node.pk not in tasks and node.mtime < before]


def sockets(root: Path) -> str:
    """Return where the broker listens; another place than before means that it was started again."""
    return "".join(path.read_text() for path in sorted(root.glob(".aiida/broker/*/broker.sockets")))


def _tasks(root: Path) -> set[int]:
    """Return the processes that the broker has a task for, waiting or under way."""
    found = (_process(path) for path in root.glob(".aiida/broker/*/storage/*/*.json"))
    return {process for process in found if process is not None}


def _process(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text())["body"]["args"]["pid"])
    except (OSError, ValueError, KeyError, TypeError):  # done meanwhile
        return None
