"""Read a campaign back: state = fold(events), and records from payloads."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from mfal.errors import LedgerError
from mfal.ledger.event import Event
from mfal.oracle import Observation, Query

State = TypeVar("State")
Record = TypeVar("Record", Query, Observation)


def fold(events: Iterable[Event], step: Callable[[State, Event], State], state: State) -> State:
    """Return the state after all events, from the first on."""
    for event in events:
        state = step(state, event)
    return state


def observation_payload(observation: Observation) -> dict[str, Any]:
    """Return an observation as JSON values, with its key."""
    return _payload(observation, _names(Observation))


def observation_from_payload(payload: Mapping[str, Any]) -> Observation:
    """Return the observation that was recorded, every float bit for bit.

    Raises:
        LedgerError: a field is missing, unknown, or contradicts the key.
    """
    return _record(Observation, payload, _names(Observation))


def query_payload(query: Query) -> dict[str, Any]:
    """Return a query as JSON values, with its key; `known` is left out, earlier observations hold it."""
    return _payload(query, _names(Query) - {"known"})


def query_from_payload(payload: Mapping[str, Any]) -> Query:
    """Return the query that was recorded, without `known`.

    Raises:
        LedgerError: a field is missing, unknown, or contradicts the key.
    """
    return _record(Query, payload, _names(Query) - {"known"})


def _names(record: type[Query] | type[Observation]) -> frozenset[str]:
    return frozenset(field.name for field in fields(record))


def _payload(record: Query | Observation, names: frozenset[str]) -> dict[str, Any]:
    return {name: getattr(record, name) for name in sorted(names)} | {"key": record.key}


def _record(record: type[Record], payload: Mapping[str, Any], names: frozenset[str]) -> Record:
    if payload.keys() != names | {"key"}:
        odd = sorted(payload.keys() ^ (names | {"key"}))
        raise LedgerError(f"a recorded {record.__name__} has other fields than this mfal writes: {odd}")
    value = record(**{name: payload[name] for name in names})
    if value.key != payload["key"]:
        raise LedgerError(f"a recorded {record.__name__} has key={payload['key']!r} but describes {value.key!r}")
    return value
