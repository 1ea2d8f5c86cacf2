"""A queue of worker processes on this machine that survives the death of the process that filled it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from physics.result_cache import Result, ResultCache, content_hash

ATTEMPTS = 2
LOG_LINES = 5
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Job:
    """One calculation.

    Attributes:
        kind: ``package.module:function`` that takes the spec and returns JSON values; or ``package.module:function[]``
            that takes all specs of a process and returns as many.
        spec: what to calculate, JSON values; with the kind it is the identity of the job.
        label: for people.
    """

    kind: str
    spec: Mapping[str, Any]
    label: str

    @property
    def key(self) -> str:
        """Content hash of kind and spec."""
        return content_hash(self.kind, self.spec)


@dataclass
class _Process:
    handle: subprocess.Popen
    jobs: Sequence[Job]
    log: Path
    started: float = field(default_factory=time.monotonic)


class LocalQueue:
    """Runs jobs in processes of their own session; a job is known by its content hash and computed once.

    A result with the key ``failure`` is an answer and is stored; a process that dies without a result is started once
    more, then its jobs are reported as failures that are not stored.

    Args:
        directory: batches, logs and slots live in its folder ``jobs``.
        cache: folder of results, may be shared by campaigns.
        workers: processes that compute at once, over all queues on the same directory, dead or alive.
        limit_seconds: time that one job may compute.
    """

    def __init__(self, directory: Path, cache: Path, workers: int, limit_seconds: float = 1800.0):
        if workers < 1:
            raise ValueError(f"{workers=} must be at least 1")
        self._jobs_directory = (directory / "jobs").resolve()
        self._cache = ResultCache(cache.resolve())
        self._workers = workers
        self._limit_seconds = limit_seconds
        self._waiting: deque[list[Job]] = deque()
        self._processes: list[_Process] = []
        self._open: dict[str, Job] = {}
        self._started: dict[str, int] = {}
        self._answers: dict[str, Result] = {}

    def submit(self, jobs: Sequence[Job], together: int = 1) -> list[str]:
        """Queue jobs and return their keys at once; known or finished jobs are not queued again.

        Args:
            jobs: in order of urgency.
            together: jobs that one process computes, where starting a process is dear.
        """
        fresh = [job for job in {job.key: job for job in jobs}.values() if not self._known(job)]
        self._open |= {job.key: job for job in fresh}
        self._waiting.extend(fresh[i : i + together] for i in range(0, len(fresh), together))
        self._launch()
        return [job.key for job in jobs]

    def poll(self) -> dict[str, Result]:
        """Start what can be started and return every answer so far by key; a failure has the key ``failure``."""
        self._gather()
        ended = [process for process in self._processes if process.handle.poll() is not None]
        self._processes = [process for process in self._processes if process not in ended]
        if ended:
            self._gather()  # a result may have been written since the last look
        for process in ended:
            self._retry_or_give_up(process)
        self._launch()
        return dict(self._answers)

    def running(self) -> list[str]:
        """Describe each process, for people."""
        return [line for process in self._processes if (line := self._describe(process))]

    def close(self) -> None:
        """Forget the processes; they go on, and a later submit finds their results."""
        self._waiting.clear()
        self._processes.clear()

    def _known(self, job: Job) -> bool:
        if job.key in self._open or job.key in self._answers:
            return True
        result = self._cache.read(job.key)
        if result is not None:
            self._answers[job.key] = result
        return result is not None

    def _gather(self) -> None:
        for key in list(self._open):
            result = self._cache.read(key)
            if result is not None:
                self._answers[key] = result
                del self._open[key]

    def _launch(self) -> None:
        while self._waiting and len(self._processes) < self._workers:
            batch = [job for job in self._waiting.popleft() if job.key in self._open]
            if batch:
                self._processes.append(self._start(batch))

    def _start(self, batch: Sequence[Job]) -> _Process:
        for job in batch:
            self._started[job.key] = self._started.get(job.key, 0) + 1
        name = f"{batch[0].key[:16]}-{len(batch)}-{os.getpid()}-{self._started[batch[0].key]}"
        self._jobs_directory.mkdir(parents=True, exist_ok=True)
        listing, log = self._jobs_directory / f"{name}.json", self._jobs_directory / f"{name}.log"
        listing.write_text(json.dumps(self._batch_record(batch)))
        with log.open("w") as stream:
            handle = subprocess.Popen(
                [sys.executable, "-m", "physics.run_job", str(listing)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,  # Ctrl-C in the terminal ends the campaign, not the calculation
            )
        return _Process(handle, batch, log)

    def _batch_record(self, batch: Sequence[Job]) -> dict[str, Any]:
        return {
            "cache": str(self._cache.directory),
            "slots": str(self._jobs_directory / "slots"),
            "workers": self._workers,
            "limit_seconds": max(1, round(self._limit_seconds)),
            "jobs": [{"kind": job.kind, "spec": dict(job.spec)} for job in batch],
        }

    def _retry_or_give_up(self, process: _Process) -> None:
        unanswered = [job for job in process.jobs if job.key in self._open]
        if process.handle.returncode == -signal.SIGALRM and unanswered:
            # jobs are computed in order: the first without an answer is the slow one
            self._give_up(unanswered.pop(0), f"exceeded the limit of {self._limit_seconds:g} s")
        for job in unanswered:
            if self._started[job.key] < ATTEMPTS:
                self._waiting.append([job])
            else:
                self._give_up(job, f"exit status {process.handle.returncode}: {_last_lines(process.log)}")

    def _give_up(self, job: Job, reason: str) -> None:
        del self._open[job.key]
        self._answers[job.key] = {"failure": f"{job.label}: {reason}"}

    def _describe(self, process: _Process) -> str:
        left = [job for job in process.jobs if job.key in self._open]
        seconds = time.monotonic() - process.started
        done = f" ({len(process.jobs) - len(left) + 1} of {len(process.jobs)})" if len(process.jobs) > 1 else ""
        return f"{left[0].label}{done}, {seconds:.0f} s" if left else ""


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[1])
    search = os.pathsep.join(part for part in (root, os.environ.get("PYTHONPATH", "")) if part)
    return os.environ | {"PYTHONPATH": search} | dict.fromkeys(_THREADS, "1")


def _last_lines(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-LOG_LINES:]) or "the log is empty"
