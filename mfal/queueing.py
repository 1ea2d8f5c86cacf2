"""What `mfal queue` asks of a job queue, and what it is told (entry point group ``mfal.queues``)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class QueueStatus:
    """What a queue is doing.

    Attributes:
        runs: whether its daemon answers.
        workers: processes that take jobs.
        batches: by state.
    """

    runs: bool
    workers: int
    batches: Mapping[str, int]


@dataclass(frozen=True)
class Check:
    """One thing that a queue needs.

    Attributes:
        name: of it.
        problem: what is wrong and the remedy; empty where it is as it should be.
    """

    name: str
    problem: str = ""


class QueueService(Protocol):
    """The job queue of one campaign, for people; made from its directory and its table ``[dft.queue]``."""

    def start(self) -> None:
        """Start the daemon unless it runs."""
        ...

    def stop(self) -> None:
        """Stop the daemon; jobs under way go on."""
        ...

    def status(self) -> QueueStatus:
        """Look without changing anything."""
        ...

    def doctor(self) -> Sequence[Check]:
        """Look at everything that can be wrong."""
        ...
