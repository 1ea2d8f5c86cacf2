"""Batches of jobs that nothing has been spent on yet, the most urgent first."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from physics.queue.job import Job


@dataclass
class Waiting:
    """Jobs that wait for a process, in batches of those that one process computes; of equals the first come first."""

    _batches: list[list[Job]] = field(default_factory=list)
    _urgency: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._batches)

    def add(self, jobs: Sequence[Job], together: int = 1) -> None:
        """Append jobs in batches of so many."""
        self._urgency |= {job.key: job.urgency for job in jobs}
        self._batches.extend(list(jobs[i : i + together]) for i in range(0, len(jobs), together))

    def hurry(self, jobs: Iterable[Job]) -> None:
        """Raise the urgency of those among the jobs that wait already."""
        for job in jobs:
            if job.key in self._urgency:
                self._urgency[job.key] = max(self._urgency[job.key], job.urgency)

    def pop(self) -> list[Job]:
        """Remove and return the most urgent batch."""
        batch = self._batches.pop(max(range(len(self)), key=lambda index: (self._most(self._batches[index]), -index)))
        self._forget({job.key for job in batch})
        return batch

    def withdraw(self, keys: Set[str]) -> bool:
        """Remove jobs if every one of them waits; return whether they do."""
        if not keys <= self._urgency.keys():
            return False
        left = ([job for job in batch if job.key not in keys] for batch in self._batches)
        self._batches = [batch for batch in left if batch]
        self._forget(keys)
        return True

    def clear(self) -> None:
        """Remove all."""
        self._batches.clear()
        self._urgency.clear()

    def _most(self, batch: Sequence[Job]) -> float:
        return max(self._urgency[job.key] for job in batch)

    def _forget(self, keys: Iterable[str]) -> None:
        for key in keys:
            del self._urgency[key]
