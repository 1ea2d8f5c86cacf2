"""What AiiDA leaves undone for ever and by itself would not mend. Runs only where the profile is loaded.

A kill between the two leaves batches that the database knows and the broker does not.
"""

import json
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from aiida.common import timezone
from aiida.engine.processes.control import get_active_processes, play_processes, revive_processes
from aiida.orm import ProcessNode

from physics.queue.daemon import ensure_running, stop
from physics.queue.room import room_problem
from physics.queue.settings import QueueSettings
from physics.queue.slurm import slurm_problem

OLD_SECONDS = 5.0  # handing over takes a fraction of a second
PLAY_SECONDS = 5.0
YOUNG_SECONDS = 60.0  # between two restarts of the daemon


@dataclass
class Mender:
    """Sees to it that a daemon runs and that every batch goes on; made once for a driver, asked again and again.

    Attributes:
        root: folder of the profile.
        settings: of the queue.
    """

    root: Path
    settings: QueueSettings
    _revived: set[int | None] = field(default_factory=set)

    def mend(self) -> dict[str, Any]:
        """Do what has to be done and return it, and what has to be waited for; asked again, it does what is left."""
        waits_for = room_problem(self.root)
        if waits_for:
            return {"waits_for": waits_for}  # neither the database nor a daemon could be written for
        waits_for = slurm_problem() if self.settings.computer == "slurm" else ""
        if ensure_running(self.root, self.settings.workers):
            return {"started": True, "waits_for": waits_for}  # this process still talks to the broker before
        if self._is_stuck():
            stop(self.root)
            return {"started": ensure_running(self.root, self.settings.workers), "waits_for": waits_for}
        return {"revived": self._revive(), "played": 0 if waits_for else self._play(), "waits_for": waits_for}

    def _is_stuck(self) -> bool:
        """Tell whether batches are forgotten again though they were revived, by a daemon that is not young.

        A worker that could not store what happened to a batch, because the database was away or the disk full, keeps it
        in its memory and refuses a second task for it; only another worker goes on with it.
        """
        again = {node.pk for node in forgotten(self.root)} & self._revived
        ages = [time.time() - path.stat().st_mtime for path in _sockets(self.root)]
        return bool(again) and min(ages, default=0.0) > YOUNG_SECONDS

    def _revive(self) -> int:
        """Give the broker a task for each active process that has none; return how many there were.

        Should such a process have been under way after all, `physics.queue.run_job` computes nothing twice.
        """
        processes = forgotten(self.root)
        if processes:
            revive_processes(processes)
        self._revived = {node.pk for node in processes}
        return len(processes)

    def _play(self) -> int:
        """Let batches go on that AiiDA has paused, and return how many; nobody else pauses any.

        AiiDA pauses a batch, for ever, when the scheduler or the disk has failed several times in a row.
        """
        paused = paused_batches()
        if paused:
            play_processes(paused, timeout=PLAY_SECONDS)
        return len(paused)


def paused_batches() -> list[ProcessNode]:
    """Return what AiiDA has paused."""
    return get_active_processes(paused=True)


def forgotten(root: Path) -> list[ProcessNode]:
    """Return active processes without a task."""
    before, tasks = timezone.now() - timedelta(seconds=OLD_SECONDS), _tasks(root)
    active: list[ProcessNode] = get_active_processes()
    return [node for node in active if node.pk not in tasks and node.mtime < before]


def sockets(root: Path) -> str:
    """Return where the broker listens; another place than before means that it was started again."""
    return "".join(path.read_text() for path in _sockets(root))


def _sockets(root: Path) -> list[Path]:
    return sorted(root.glob(".aiida/broker/*/broker.sockets"))


def _tasks(root: Path) -> set[int]:
    """Return the processes that the broker has a task for, waiting or under way."""
    found = (_process(path) for path in root.glob(".aiida/broker/*/storage/*/*.json"))
    return {process for process in found if process is not None}


def _process(path: Path) -> int | None:
    try:
        return int(json.loads(path.read_text())["body"]["args"]["pid"])
    except (OSError, ValueError, KeyError, TypeError):  # done meanwhile
        return None
