"""Which jobs are asked, which are answered: the part of a queue that does not depend on who computes."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from physics.queue.job import Job
from physics.queue.result_cache import Result, ResultCache


@dataclass
class Register:
    """Jobs by key, and the cache of results that is shared with other campaigns.

    Attributes:
        cache: finished calculations.
        open: jobs without an answer.
        answers: results, those of failures with the key ``failure``.
        started: how often each job was started.
    """

    cache: ResultCache
    open: dict[str, Job] = field(default_factory=dict)
    answers: dict[str, Result] = field(default_factory=dict)
    started: dict[str, int] = field(default_factory=dict)

    def fresh(self, jobs: Sequence[Job]) -> list[Job]:
        """Note jobs and return those that have to be computed, each once, in order."""
        found = [job for job in {job.key: job for job in jobs}.values() if not self._known(job)]
        self.open |= {job.key: job for job in found}
        return found

    def unanswered(self, jobs: Sequence[Job]) -> list[Job]:
        """Return those without an answer, after a look at the cache."""
        for job in jobs:
            result = self.cache.read(job.key) if job.key in self.open else None
            if result is not None:
                self.answers[job.key] = result
                del self.open[job.key]
        return [job for job in jobs if job.key in self.open]

    def start(self, jobs: Sequence[Job]) -> None:
        """Count one more start of each."""
        for job in jobs:
            self.started[job.key] = self.started.get(job.key, 0) + 1

    def record(self, jobs: Sequence[Job], slots: Path, workers: int, limit_seconds: float) -> dict[str, Any]:
        """Return what `physics.queue.run_job` is told of a batch."""
        return {
            "cache": str(self.cache.directory),
            "slots": str(slots),
            "workers": workers,
            "limit_seconds": max(1, round(limit_seconds)),
            "jobs": [job.record() for job in jobs],
        }

    def describe(self, jobs: Sequence[Job], started: float) -> str:
        """Say which job of a batch is computed, and since when; nothing once all are answered."""
        left, seconds = self.unanswered(jobs), time.monotonic() - started
        done = f" ({len(jobs) - len(left) + 1} of {len(jobs)})" if len(jobs) > 1 else ""
        return f"{left[0].label}{done}, {seconds:.0f} s" if left else ""

    def forget(self, keys: Iterable[str]) -> None:
        """Drop jobs without an answer, as if they had never been asked."""
        for key in keys:
            del self.open[key]

    def give_up(self, job: Job, reason: str) -> None:
        """Answer a job with a failure that is not stored: a later campaign may try again."""
        del self.open[job.key]
        self.answers[job.key] = {"failure": f"{job.label}: {reason}"}

    def _known(self, job: Job) -> bool:
        if job.key in self.open or job.key in self.answers:
            return True
        result = self.cache.read(job.key)
        if result is not None:
            self.answers[job.key] = result
        return result is not None
