"""A queue on AiiDA: nothing is lost whoever is killed, provenance is kept, and SLURM is a setting."""

import threading
import time
from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from physics.queue.client import Bridge, QueueError
from physics.queue.job import Job
from physics.queue.local_queue import LIMIT_SECONDS
from physics.queue.register import Register
from physics.queue.result_cache import Result, ResultCache
from physics.queue.settings import QueueSettings
from physics.queue.waiting import Waiting

ATTEMPTS = 3
LOOK_SECONDS, STATES_SECONDS, HEALTH_SECONDS, SETTLE_SECONDS = 0.1, 1.0, 10.0, 20.0


@dataclass
class _Batch:
    """Jobs that AiiDA has, or is about to have."""

    jobs: Sequence[Job]
    label: str
    started: float = field(default_factory=time.monotonic)


class AiidaQueue:
    """Runs jobs as AiiDA's calculations; the same promises as `physics.queue.local_queue.LocalQueue`.

    A thread of its own talks to AiiDA: whoever submits or polls never waits for it.

    Args:
        directory: of the campaign; the profile lives in its folder ``aiida``.
        cache: folder of results, may be shared by campaigns.
        workers: processes that compute at once, over all queues on the same directory, dead or alive.
        settings: where and how.
        limit_seconds: time that one job may compute.
    """

    def __init__(
        self, directory: Path, cache: Path, workers: int, settings: QueueSettings, limit_seconds: float = LIMIT_SECONDS
    ):
        self._directory = directory.resolve()
        self._bridge = Bridge(self._directory / "aiida", settings)
        self._register = Register(ResultCache(cache.resolve()))
        self._workers, self._settings, self._limit_seconds = workers, settings, limit_seconds
        self._waiting = Waiting()
        self._flights: dict[str, _Batch] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None
        self._trouble: QueueError | None = None
        self._waits_for = ""

    def submit(self, jobs: Sequence[Job], together: int = 1) -> list[str]:
        """Queue jobs and return their keys at once; known or finished jobs are not queued again.

        Args:
            jobs: equally urgent ones are computed in this order.
            together: jobs that one process computes, where starting a process is dear.
        """
        with self._lock:
            fresh = self._register.fresh(jobs)
            self._waiting.hurry(jobs)
            self._waiting.add(fresh, together)
        if fresh and self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="aiida queue", daemon=True)
            self._thread.start()
        return [job.key for job in jobs]

    def poll(self) -> dict[str, Result]:
        """Return every answer so far by key; a failure has the key ``failure``.

        Raises:
            QueueError: AiiDA cannot be talked to; what was submitted is not lost.
        """
        with self._lock:
            for batch in self._flights.values():
                self._register.unanswered(batch.jobs)
            if self._trouble is not None:
                raise self._trouble
            return dict(self._register.answers)

    def withdraw(self, keys: Set[str]) -> bool:
        """Take jobs back if all of them still wait here, not handed to AiiDA; return whether they did."""
        with self._lock:
            waited = self._waiting.withdraw(keys)
            if waited:
                self._register.forget(keys)
        return waited

    def running(self) -> list[str]:
        """Describe each batch that AiiDA has, for people."""
        with self._lock:
            lines = [self._register.describe(batch.jobs, batch.started) for batch in self._flights.values()]
        waits_for = [f"waits: {self._waits_for}"] if self._waits_for else []
        return waits_for + [line for line in lines if line]

    def close(self) -> None:
        """Let go of AiiDA; it goes on with what it has, and a later submit finds the results. Idle, it is stopped."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()
            if not self._register.open and self._trouble is None:
                self._settle()
        self._bridge.close()

    def _settle(self) -> None:
        """Let AiiDA store what is answered already, then stop its daemon."""
        until = time.monotonic() + SETTLE_SECONDS
        while self._flights and time.monotonic() < until:
            self._look()
            time.sleep(LOOK_SECONDS)
        self._bridge.ask("stop")

    def _serve(self) -> None:
        states_at = health_at = 0.0
        try:
            while not self._closed.wait(LOOK_SECONDS):
                now = time.monotonic()
                if now >= health_at and (self._waiting or self._flights):
                    self._waits_for = self._bridge.ask("start")["waits_for"]
                    health_at = time.monotonic() + HEALTH_SECONDS
                self._launch()
                if now >= states_at and self._flights and not self._waits_for:
                    self._look()
                    states_at = time.monotonic() + STATES_SECONDS
        except QueueError as error:
            self._trouble = error

    def _launch(self) -> None:
        """Hand over what there is room for, unless it could only be paused."""
        if self._waits_for:
            return
        with self._lock:
            batches = []
            while self._waiting and len(self._flights) + len(batches) < self._settings.in_flight:
                jobs = self._register.unanswered(self._waiting.pop())
                if jobs:
                    self._register.start(jobs)
                    batches.append(_Batch(jobs, self._label(jobs)))
        if not batches:
            return
        asked = [{"label": batch.label, "record": self._record(batch.jobs)} for batch in batches]
        nodes = self._bridge.ask("submit", batches=asked)
        with self._lock:
            self._flights |= dict(zip(nodes, batches, strict=True))

    def _look(self) -> None:
        """See which batches have ended; their results are in the cache already."""
        ends = self._bridge.ask("states", uuids=list(self._flights))
        with self._lock:
            for node, said in ends.items():
                if said is not None:
                    self._retry_or_give_up(self._flights.pop(node), said)
            for node in self._flights.keys() - ends.keys():  # the database has no such node
                self._retry_or_give_up(self._flights.pop(node), "AiiDA has lost it")

    def _retry_or_give_up(self, batch: _Batch, said: str) -> None:
        for job in self._register.unanswered(batch.jobs):
            if self._register.started[job.key] < ATTEMPTS:
                self._waiting.add([job])
            else:
                self._register.give_up(job, said or "it ended without a result")

    def _label(self, jobs: Sequence[Job]) -> str:
        """Name a batch so that it is found again: by its jobs and by how often they were started."""
        first = jobs[0]
        return f"{first.key[:32]}-{len(jobs)}-{self._register.started[first.key]}"

    def _record(self, jobs: Sequence[Job]) -> dict[str, Any]:
        slots = self._directory / "jobs" / "slots"  # those of the local queue on the same directory
        return self._register.record(jobs, slots, self._workers, self._limit_seconds)
