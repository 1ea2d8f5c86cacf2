"""Tables of the ledger, in portable SQLAlchemy Core, and the way between rows and events."""

import json
from typing import Any

from sqlalchemy import (
    DDL,
    Column,
    Connection,
    Integer,
    MetaData,
    Row,
    String,
    Table,
    Text,
    UniqueConstraint,
    insert,
    select,
)
from sqlalchemy import event as listener

from mfal.errors import LedgerError, TamperedLedgerError
from mfal.ledger.event import Event, EventKind, canonical_json

SCHEMA_VERSION = 1

METADATA = MetaData()

SCHEMA = Table("ledger_schema", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))

EVENTS = Table(
    "event",
    METADATA,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("time", String(40), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("key", Text),  # of an observation: the query that was paid
    Column("payload", Text, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    UniqueConstraint("kind", "key"),
)

_REFUSE = """CREATE TRIGGER event_no_{verb} BEFORE {verb} ON event
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"""

# INSERT OR REPLACE deletes without firing the delete trigger, so the insert itself must refuse.
_APPEND = """CREATE TRIGGER event_only_append BEFORE INSERT ON event
WHEN NEW.sequence <> (SELECT COALESCE(MAX(sequence), 0) + 1 FROM event)
  OR EXISTS (SELECT 1 FROM event WHERE kind = NEW.kind AND key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"""

for _statement in (_REFUSE.format(verb="UPDATE"), _REFUSE.format(verb="DELETE"), _APPEND):
    listener.listen(EVENTS, "after_create", DDL(_statement).execute_if(dialect="sqlite"))


def create(connection: Connection) -> None:
    """Create the tables of an empty ledger."""
    METADATA.create_all(connection, checkfirst=False)
    connection.execute(insert(SCHEMA).values(version=SCHEMA_VERSION))


def check_version(connection: Connection) -> None:
    """Check that this mfal understands the ledger.

    Raises:
        LedgerError: a newer mfal wrote it.
        TamperedLedgerError: there is not exactly one version of a kind that mfal ever wrote.
    """
    versions = list(connection.scalars(select(SCHEMA.c.version)))
    if len(versions) != 1 or not isinstance(versions[0], int) or versions[0] < 1:
        raise TamperedLedgerError(f"schema {versions=}; mfal writes exactly one, {SCHEMA_VERSION}")
    if versions[0] > SCHEMA_VERSION:
        raise LedgerError(f"the ledger has schema {versions[0]}, this mfal knows {SCHEMA_VERSION}; upgrade mfal")


def insert_events(connection: Connection, events: list[Event]) -> None:
    """Write events as rows."""
    connection.execute(insert(EVENTS), [_row(event) for event in events])


def select_events(connection: Connection) -> list[Event]:
    """Return all events in order.

    Raises:
        TamperedLedgerError: a stored text is not the canonical text of an event; names the event.
    """
    rows = connection.execute(select(EVENTS).order_by(EVENTS.c.sequence))
    return [_event(row) for row in rows]


def select_head(connection: Connection) -> Event | None:
    """Return the last event; None for an empty ledger."""
    row = connection.execute(select(EVENTS).order_by(EVENTS.c.sequence.desc()).limit(1)).first()
    return None if row is None else _event(row)


def key_of(event: Event) -> str | None:
    """Return what must never be recorded twice: the query that an observation answers.

    Raises:
        LedgerError: an observation without a key.
    """
    if event.kind != EventKind.OBSERVATION:
        return None
    key = event.payload.get("key")
    if not isinstance(key, str) or not key:
        raise LedgerError(f"an observation's payload needs the query's key as text; found {key=}")
    return key


def _row(event: Event) -> dict[str, Any]:
    values = {name: getattr(event, name) for name in ("sequence", "time", "kind", "previous_hash", "hash")}
    return values | {"key": key_of(event), "payload": canonical_json(event.payload)}


def _event(row: Row[Any]) -> Event:
    """Decode a row, and insist that encoding it again gives the very same row."""
    try:
        event = Event(row.sequence, row.time, row.kind, json.loads(row.payload), row.previous_hash, row.hash)
        same = _row(event) == dict(row._mapping)
    except (ValueError, TypeError, AttributeError, LedgerError, RecursionError) as error:
        raise TamperedLedgerError(f"event {row.sequence} cannot be read: {error}") from error
    if not same:
        raise TamperedLedgerError(f"event {row.sequence} is not stored in its canonical text")
    return event
