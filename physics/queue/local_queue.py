"""A queue of worker processes on this machine that survives the death of the process that filled it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from physics.queue.environment import THREADS, last_lines, search_path
from physics.queue.job import Job
from physics.queue.register import Register
from physics.queue.result_cache import NAME_DIGITS, Result, ResultCache
from physics.queue.room import room_problem
from physics.queue.waiting import Waiting

ATTEMPTS = 2
LIMIT_SECONDS = 1800.0  # of one job


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

    def __init__(self, directory: Path, cache: Path, workers: int, limit_seconds: float = LIMIT_SECONDS):
        if workers < 1:
            raise ValueError(f"{workers=} must be at least 1")
        self._jobs_directory = (directory / "jobs").resolve()
        self._register = Register(ResultCache(cache.resolve()))
        self._workers = workers
        self._limit_seconds = limit_seconds
        self._waiting = Waiting()
        self._processes: list[_Process] = []

    def submit(self, jobs: Sequence[Job], together: int = 1) -> list[str]:
        """Queue jobs and return their keys at once; known or finished jobs are not queued again.

        Args:
            jobs: equally urgent ones are computed in this order.
            together: jobs that one process computes, where starting a process is dear.
        """
        self._waiting.hurry(jobs)
        self._waiting.add(self._register.fresh(jobs), together)
        self._launch()
        return [job.key for job in jobs]

    def withdraw(self, keys: Set[str]) -> bool:
        """Take jobs back if all of them still wait; return whether they did."""
        waited = self._waiting.withdraw(keys)
        if waited:
            self._register.forget(keys)
        return waited

    def poll(self) -> dict[str, Result]:
        """Start what can be started and return every answer so far by key; a failure has the key ``failure``."""
        ended = [process for process in self._processes if process.handle.poll() is not None]
        self._processes = [process for process in self._processes if process not in ended]
        for process in self._processes:
            self._register.unanswered(process.jobs)
        for process in ended:
            self._retry_or_give_up(process)
        self._launch()
        return dict(self._register.answers)

    def running(self) -> list[str]:
        """Describe each process, for people."""
        waits_for = self._waits_for()
        lines = [self._register.describe(process.jobs, process.started) for process in self._processes]
        return ([f"waits: {waits_for}"] if waits_for else []) + [line for line in lines if line]

    def close(self) -> None:
        """Forget the processes; they go on, and a later submit finds their results."""
        self._waiting.clear()
        self._processes.clear()

    def _launch(self) -> None:
        while self._waiting and len(self._processes) < self._workers and not self._waits_for():
            batch = self._register.unanswered(self._waiting.pop())
            if batch:
                self._processes.append(self._start(batch))

    def _waits_for(self) -> str:
        return room_problem(self._jobs_directory) or room_problem(self._register.cache.directory)

    def _start(self, batch: Sequence[Job]) -> _Process:
        self._register.start(batch)
        name = f"{batch[0].key[:NAME_DIGITS]}-{len(batch)}-{os.getpid()}-{self._register.started[batch[0].key]}"
        self._jobs_directory.mkdir(parents=True, exist_ok=True)
        listing, log = self._jobs_directory / f"{name}.json", self._jobs_directory / f"{name}.log"
        record = self._register.record(batch, self._jobs_directory / "slots", self._workers, self._limit_seconds)
        listing.write_text(json.dumps(record))
        with log.open("w") as stream:
            handle = subprocess.Popen(
                [sys.executable, "-m", "physics.queue.run_job", str(listing)],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": search_path()} | dict.fromkeys(THREADS, "1"),
                start_new_session=True,  # Ctrl-C in the terminal ends the campaign, not the calculation
            )
        return _Process(handle, batch, log)

    def _retry_or_give_up(self, process: _Process) -> None:
        unanswered = self._register.unanswered(process.jobs)
        if process.handle.returncode == -signal.SIGALRM and unanswered:
            # jobs are computed in order: the first without an answer is the slow one
            self._register.give_up(unanswered.pop(0), f"exceeded the limit of {self._limit_seconds:g} s")
        for job in unanswered:
            if self._register.started[job.key] < ATTEMPTS:
                self._waiting.add([job])
            else:
                said = last_lines(process.log.read_text(errors="replace"))
                self._register.give_up(job, f"exit status {process.handle.returncode}: {said}")
