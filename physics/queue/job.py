"""A calculation, known by its content."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Protocol

from physics.queue.result_cache import Result, content_hash


@dataclass(frozen=True)
class Job:
    """One calculation.

    Attributes:
        kind: ``package.module:function`` that takes the spec and returns JSON values; or ``package.module:function[]``
            that takes all specs of a process and returns as many.
        spec: what to calculate, JSON values; with the kind it is the identity of the job.
        label: for people.
        payer: the query that pays for it, if it has to be computed; not part of its identity.
        urgency: the most urgent waiting job is computed first; not part of its identity either.
    """

    kind: str
    spec: Mapping[str, Any]
    label: str
    payer: str = ""
    urgency: float = 0.0

    @property
    def key(self) -> str:
        """Content hash of kind and spec."""
        return content_hash(self.kind, self.spec)

    def record(self) -> dict[str, Any]:
        """Return what the process that computes it is told."""
        return {"kind": self.kind, "spec": dict(self.spec), "payer": self.payer}


class JobQueue(Protocol):
    """Computes jobs, each once, in processes that survive the one that asked."""

    def submit(self, jobs: Sequence[Job], together: int = 1) -> list[str]:
        """Queue jobs and return their keys at once; known or finished jobs are not queued again."""
        ...

    def poll(self) -> dict[str, Result]:
        """Return every answer so far by key; a failure has the key ``failure``."""
        ...

    def withdraw(self, keys: Set[str]) -> bool:
        """Take jobs back if all of them still wait; return whether they did."""
        ...

    def running(self) -> list[str]:
        """Describe the work in progress, for people."""
        ...

    def close(self) -> None:
        """Let go; what is under way goes on, and a later submit finds its results."""
        ...
