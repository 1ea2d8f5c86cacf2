"""The hash chain: every event names the hash of the one before it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from mfal.errors import LedgerError, TamperedLedgerError
from mfal.ledger.event import Event, EventKind, canonical_json

GENESIS = "0" * 64


def event_hash(sequence: int, time: str, kind: str, payload: Mapping[str, Any], previous_hash: str) -> str:
    """Return the SHA-256 of the canonical text of an event without its hash."""
    body = {"sequence": sequence, "time": time, "kind": kind, "payload": payload, "previous_hash": previous_hash}
    return hashlib.sha256(canonical_json(body).encode("ascii")).hexdigest()


def link(previous: Event | None, time: str, kind: str, payload: Mapping[str, Any]) -> Event:
    """Return the event that follows `previous`; None for the first.

    The payload is copied through its canonical text, so the event equals what a reader will find.

    Raises:
        LedgerError: the kind is unknown or the payload has no JSON form.
    """
    if kind not in set(EventKind):
        raise LedgerError(f"{kind=} is not an event kind; known: {[str(known) for known in EventKind]}")
    sequence, previous_hash = (previous.sequence + 1, previous.hash) if previous else (1, GENESIS)
    copied = json.loads(canonical_json(payload))
    digest = event_hash(sequence, time, str(kind), copied, previous_hash)
    return Event(sequence, time, str(kind), copied, previous_hash, digest)


def check(events: Iterable[Event]) -> None:
    """Check numbering and hashes from the first event on.

    Raises:
        TamperedLedgerError: names the first bad event and what is wrong with it.
    """
    sequence, previous_hash = 0, GENESIS
    for event in events:
        sequence += 1
        if event.sequence != sequence:
            raise TamperedLedgerError(f"gap at event {sequence}: found event {event.sequence} in its place")
        if event.previous_hash != previous_hash:
            raise TamperedLedgerError(f"event {sequence} names {event.previous_hash=}, not {previous_hash=}")
        if event.hash != _recomputed(event):
            raise TamperedLedgerError(f"event {sequence} does not match its hash {event.hash!r}")
        previous_hash = event.hash


def _recomputed(event: Event) -> str:
    return event_hash(event.sequence, event.time, event.kind, event.payload, event.previous_hash)
