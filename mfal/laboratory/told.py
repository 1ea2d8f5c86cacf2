"""What people and instruments have said: the laboratory's own ledger, and what it amounts to."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mfal.errors import LedgerBusyError
from mfal.laboratory.schema import RESULTS_VERSION
from mfal.ledger.event import Event, EventKind
from mfal.ledger.store import Ledger, read_events

LABORATORY = "laboratory.sqlite"
_PATIENCE_SECONDS = 10.0
_PAUSE_SECONDS = 0.05


@dataclass(frozen=True)
class Result:
    """One result in the campaign's unit.

    Attributes:
        id: of the request.
        key: of the query.
        value: in the property's unit; None for a failure.
        noise_sd: standard deviation in the same unit; None where none is known.
        failure: why there is no value.
        price_eur: what was paid; None: what was committed.
        measured_on: day of the measurement, ISO-8601.
        correction: why it replaces an earlier result.
        steps: whether each step succeeded.
        extra: further text.
    """

    id: str
    key: str
    value: float | None
    noise_sd: float | None
    failure: str | None
    price_eur: float | None = None
    measured_on: str | None = None
    correction: str | None = None
    steps: Mapping[str, bool] = field(default_factory=dict)
    extra: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Revision:
    """A result as it stands in the ledger.

    Attributes:
        number: 1 for the first result of a query, then counting corrections and rejections.
        result: that counts from here on.
        source: file or person it came from.
        line: in the file; 0 where a person signed it.
        told: when, ISO-8601.
        event_hash: of its event.
        late_hours: after the due time; 0 where it was in time.
        as_told: value, unit and uncertainty as they were written.
    """

    number: int
    result: Result
    source: str
    line: int
    told: str
    event_hash: str
    late_hours: float
    as_told: Mapping[str, str | None]


@dataclass(frozen=True)
class Signature:
    """What a person decided about an item of the review.

    Attributes:
        item: id of a request, or ``fidelity:NAME``.
        accept: or reject.
        by: name.
        note: in the person's words.
        scientific_novelty: what the person says of it; None where nothing is said.
        evidence: what was waiting to be decided, as the review stated it.
        key: of the query, where the item is one.
        time: when, ISO-8601.
        event_hash: of its event.
    """

    item: str
    accept: bool
    by: str
    note: str
    scientific_novelty: bool | None
    evidence: str
    key: str | None
    time: str
    event_hash: str


@dataclass(frozen=True)
class Told:
    """What the laboratory's ledger amounts to.

    Attributes:
        revisions: of every query with a result, by its key, oldest first.
        signatures: oldest first.
        settled: items whose last word is a person's.
    """

    revisions: Mapping[str, Sequence[Revision]]
    signatures: Sequence[Signature]
    settled: frozenset[str]

    def newest(self, key: str) -> Revision | None:
        """Return the result that counts; None where there is none."""
        return self.revisions[key][-1] if key in self.revisions else None

    def novelty(self, item: str) -> Signature | None:
        """Return the last signature that says something of an item's novelty; nothing else can."""
        signed = [one for one in self.signatures if one.item == item and one.scientific_novelty is not None]
        return signed[-1] if signed else None

    def released(self, item: str) -> bool:
        """Say whether a person's last word about an item is to accept it."""
        signed = [one for one in self.signatures if one.item == item]
        return bool(signed) and signed[-1].accept


def read_told(directory: Path) -> Told:
    """Return what has been told in a campaign's directory.

    Raises:
        LedgerError: the laboratory's ledger does not verify.
    """
    file = directory / LABORATORY
    return fold_told(read_events(file) if file.exists() else [])


def fold_told(events: Sequence[Event]) -> Told:
    """Return what the events of a laboratory's ledger amount to."""
    revisions: dict[str, list[Revision]] = {}
    signatures: list[Signature] = []
    settled: set[str] = set()
    for event in events:
        if event.kind == EventKind.RESULTS:
            for row in event.payload["results"]:
                revision = _revision(row, event, len(revisions.get(row["key"], [])) + 1)
                revisions.setdefault(row["key"], []).append(revision)
                settled.discard(revision.result.id)
        elif event.kind == EventKind.SIGNATURE:
            signature = Signature(**event.payload, time=event.time, event_hash=event.hash)
            signatures.append(signature)
            settled.add(signature.item)
            if signature.key is not None:
                _sign(revisions.setdefault(signature.key, []), signature)
    return Told({key: rows for key, rows in revisions.items() if rows}, signatures, frozenset(settled))


@contextmanager
def told_ledger(directory: Path) -> Iterator[Ledger]:
    """Open the laboratory's ledger for writing, made at the first time; waits for other writers a while.

    Raises:
        LedgerBusyError: another process keeps it for longer.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            ledger = _opened(directory / LABORATORY)
            break
        except LedgerBusyError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_SECONDS)
    with ledger:
        yield ledger


def results_payload(source: str, sha256: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the payload of an event that records rows of `result_payload`."""
    return {"schema_version": RESULTS_VERSION, "source": source, "sha256": sha256, "results": list(rows)}


def result_payload(result: Result, line: int, late_hours: float, as_told: Mapping[str, str | None]) -> dict[str, Any]:
    """Return a row of `results_payload`."""
    return {**asdict(result), "line": line, "late_hours": late_hours, "as_told": dict(as_told)}


def _opened(file: Path) -> Ledger:
    return (Ledger.open if file.exists() else Ledger.create)(file)


def _revision(row: Mapping[str, Any], event: Event, number: int) -> Revision:
    about = {name: row[name] for name in ("line", "late_hours", "as_told")}
    result = Result(**{name: value for name, value in row.items() if name not in about})
    return Revision(number, result, event.payload["source"], told=event.time, event_hash=event.hash, **about)


def _sign(revisions: list[Revision], signature: Signature) -> None:
    """Add what a signature makes of a result: rejected, it is a failure; accepted after that, it counts again."""
    signed = {"source": signature.by, "line": 0, "told": signature.time, "event_hash": signature.event_hash}
    told = [revision for revision in revisions if revision.line]
    rejected = bool(revisions) and not revisions[-1].line and revisions[-1].result.failure is not None
    if signature.accept:
        if rejected and told:
            revisions.append(replace(told[-1], number=len(revisions) + 1, **signed))
        return
    failure = f"rejected by {signature.by}: {signature.note}"
    if told:
        result = replace(told[-1].result, value=None, noise_sd=None, failure=failure)
        revisions.append(replace(told[-1], number=len(revisions) + 1, result=result, **signed))
    else:
        # Nothing was made, so nothing is paid.
        result = Result(signature.item, str(signature.key), None, None, failure, price_eur=0.0)
        revisions.append(Revision(len(revisions) + 1, result, late_hours=0.0, as_told={}, **signed))
