"""The oracle protocol: where answers come from. Slow, fallible, never traced."""

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from mfal.errors import MissingExtraError, UnknownPluginError
from mfal.fidelity import Fidelity
from mfal.space.pool import Pool

JobId = str


@dataclass(frozen=True)
class Query:
    """A question to one fidelity about one candidate.

    Attributes:
        candidate: id in the pool.
        fidelity: name in the ladder.
        price_eur: price committed when the query was decided.
        known: details of earlier observations of this candidate, by fidelity.
        urgency: expected gain over the price when it was decided; what is more urgent is computed first.
    """

    candidate: str
    fidelity: str
    price_eur: float
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    urgency: float = 0.0

    @property
    def key(self) -> str:
        """Identity of the query within its campaign: the same key is never paid twice."""
        return f"{self.fidelity}:{self.candidate}"


@dataclass(frozen=True)
class Observation:
    """A paid answer, possibly a failure.

    Attributes:
        candidate: id in the pool.
        fidelity: name in the ladder.
        value: the property in the ladder's unit; None for a failure.
        noise_sd: reported standard deviation in the same unit; None where the source reports none.
        price_eur: what was paid, also for a failure.
        failure: why there is no value; None for a success.
        details: provenance and by-products (geometry, method, timings), JSON values.
    """

    candidate: str
    fidelity: str
    value: float | None
    noise_sd: float | None
    price_eur: float
    failure: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Key of the query that this answers."""
        return f"{self.fidelity}:{self.candidate}"


@dataclass(frozen=True)
class OracleContext:
    """What an oracle factory is given.

    Attributes:
        directory: the campaign's directory; jobs and results live below it.
        cache: folder of finished calculations by content hash, shared between campaigns.
        fidelity: the fidelity to answer for, with its options.
        pool: the candidates.
        workers: processes that may compute at once, over all oracles of the campaign.
        queue: the campaign file's table ``[dft.queue]``; empty for its defaults.
    """

    directory: Path
    cache: Path
    fidelity: Fidelity
    pool: Pool
    workers: int
    queue: Mapping[str, Any] = field(default_factory=dict)


@runtime_checkable
class Oracle(Protocol):
    """Answers the queries of one fidelity."""

    def submit(self, queries: Sequence[Query]) -> Sequence[JobId]:
        """Start work and return at once. Idempotent: the same query key is the same job, also after a crash."""
        ...

    def collect(self) -> Sequence[Observation]:
        """Return answers that have become available since the last call; failures are observations."""
        ...

    def running(self) -> Sequence[str]:
        """Describe the work in progress, one line a job, for people."""
        ...

    def close(self) -> None:
        """Release resources. Work in progress may go on; a later submit finds its result."""
        ...


@runtime_checkable
class Replayable(Protocol):
    """An oracle that stands for a finished experiment and can reveal all its answers, for scoring only."""

    def hidden_truth(self) -> Mapping[str, float]:
        """Return the value of every candidate that has one, by id."""
        ...


@runtime_checkable
class Priced(Protocol):
    """An oracle whose prices depend on the candidate."""

    def expected_prices_eur(self, known: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Mapping[str, float]:
        """Return what queries are expected to cost, of those candidates for which it can be told.

        Args:
            known: details of earlier observations, by candidate and fidelity.
        """
        ...


@runtime_checkable
class Withdrawing(Protocol):
    """An oracle that can take queries back as long as nothing has been spent on them."""

    def withdraw(self, queries: Sequence[Query]) -> Sequence[str]:
        """Take queries back and return the keys of those for which that was possible: they will not be answered."""
        ...


@runtime_checkable
class Attended(Protocol):
    """An oracle whose answers people bring, and correct later."""

    def awaits(self, queries: Sequence[Query]) -> bool:
        """Say whether none of the queries can be answered before a person does something."""
        ...

    def corrections(self, recorded: Sequence[Observation]) -> Sequence[Observation]:
        """Return newer answers to queries, given the answers of this fidelity that count at present."""
        ...


@runtime_checkable
class Timed(Protocol):
    """An oracle whose answers come when its own simulation says so, not after the declared latency."""

    def advance(self, hours: float) -> None:
        """Move on to this time on the campaign's clock: queries are submitted at it, and answers come until then."""
        ...

    def due_hours(self) -> Mapping[str, float]:
        """Return when each query that is not answered yet will be, by key, if nothing else is submitted."""
        ...


def need_package(package: str, extra: str) -> None:
    """Raise a MissingExtraError, which names the extra that brings it, if a package is not installed."""
    if importlib.util.find_spec(package) is None:
        raise MissingExtraError(package, extra)


def load_plugin(group: str, name: str) -> Any:
    """Return the object registered as `name` in the entry point `group` (``mfal.oracles``, ``mfal.pools``).

    Raises:
        UnknownPluginError: nothing is registered under that name.
    """
    found = {point.name: point for point in entry_points(group=group)}
    if name not in found:
        raise UnknownPluginError(f"{name=} is not registered in {group}; known: {sorted(found)}")
    return found[name].load()
