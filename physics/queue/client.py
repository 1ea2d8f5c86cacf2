"""The driver's end of the bridge: requests with a time limit, and a new bridge where one has died or hangs."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from physics.queue.environment import last_lines, search_path
from physics.queue.settings import QueueSettings

ATTEMPTS = 3


class QueueError(Exception):
    """AiiDA could not be talked to."""


class Bridge:
    """A process with AiiDA's profile of one campaign.

    Args:
        root: folder of the profile.
        settings: of the queue.
        limit_seconds: time that a request may take.
    """

    def __init__(self, root: Path, settings: QueueSettings, limit_seconds: float = 60.0):
        self._root, self._settings, self._limit_seconds = root.resolve(), settings, limit_seconds
        self._process: subprocess.Popen[str] | None = None

    def ask(self, do: str, **named: Any) -> Any:
        """Return what AiiDA answers; a bridge that dies or hangs is replaced and asked again.

        Raises:
            QueueError: it refuses, or no bridge can be had.
        """
        for attempt in range(ATTEMPTS):
            try:
                return self._asked({"do": do, **named})
            except (OSError, ValueError, TimeoutError) as error:
                self.close()
                if attempt == ATTEMPTS - 1:
                    raise QueueError(f"AiiDA does not answer {do!r} ({error}): {self._log_end()}") from error
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End the process; what it handed to AiiDA goes on."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _asked(self, request: Mapping[str, Any]) -> Any:
        process = self._process or self._start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()
        return self._answer(process.stdout)

    def _start(self) -> subprocess.Popen[str]:
        self._root.mkdir(parents=True, exist_ok=True)
        with self._log.open("a") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "physics.queue.bridge", str(self._root), json.dumps(asdict(self._settings))],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=environment(self._root),
                start_new_session=True,
            )  # fmt: skip
        assert self._process.stdout is not None
        self._answer(self._process.stdout)
        return self._process

    def _answer(self, stream: IO[str]) -> Any:
        if not select.select([stream], [], [], self._limit_seconds)[0]:
            raise TimeoutError(f"no answer within {self._limit_seconds:g} s")
        answer = json.loads(stream.readline() or "")
        if "error" in answer:
            raise QueueError(answer["error"])
        return answer["found"]

    @property
    def _log(self) -> Path:
        return self._root / "bridge.log"

    def _log_end(self) -> str:
        return last_lines(self._log.read_text(errors="replace") if self._log.exists() else "")


def environment(root: Path) -> dict[str, str]:
    """Return the environment of every process of AiiDA: this profile, this Python, this checkout."""
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    # AiiDA makes a folder of its own in the home directory unless it is told where to look
    return os.environ | {"AIIDA_PATH": str(root), "PYTHONPATH": search_path(), "PATH": programs}
