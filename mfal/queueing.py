"""What `mfal queue` asks of a job queue, and what it is told (entry point group ``mfal.queues``)."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

_ADDRESS = re.compile(r"postgresql://[\w.-]+(?P<password>:[^@]*)?@[\w.-]*(:\d+)?/[\w.-]+")


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


def queue_problems(engine: str, computer: str, database: str | None) -> list[tuple[str, str]]:
    """Return what contradicts itself in a table ``[dft.queue]``: keys and remedies."""
    found = []
    if computer == "slurm" and engine != "aiida":
        found.append(("computer", "computer = 'slurm' is reached by engine = 'aiida'; write that too"))
    if database is not None and engine != "aiida":
        found.append(("database", "a database is used by engine = 'aiida'; write that too, or remove database"))
    return found + ([] if database is None else _address_problems(database))


def _address_problems(database: str) -> list[tuple[str, str]]:
    form = _ADDRESS.fullmatch(database)
    if form is None:
        return [("database", "it must have the form postgresql://USER@HOST:PORT/NAME (no HOST: this machine's socket)")]
    if form["password"]:
        remedy = "take it out, and set PGPASSWORD, or write it into ~/.pgpass, which only you can read"
        return [("database", f"a campaign file is no place for a password, ledgers and reports repeat it: {remedy}")]
    return []
