"""Events of a campaign and their canonical text."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from mfal.errors import LedgerError


class EventKind(StrEnum):
    """What can happen in a campaign."""

    CAMPAIGN = "campaign"
    DECISION = "decision"
    OBSERVATION = "observation"
    PRICES = "prices"
    WITHDRAWAL = "withdrawal"
    CORRECTION = "correction"
    RESUME = "resume"
    STOP = "stop"
    # Of a laboratory's ledger, which people and instruments write while the campaign may be running:
    RESULTS = "results"
    SIGNATURE = "signature"


@dataclass(frozen=True)
class Event:
    """One line of the ledger.

    Attributes:
        sequence: position, from 1, without gaps.
        time: when it was recorded, ISO-8601 in UTC.
        kind: an `EventKind`.
        payload: JSON values.
        previous_hash: hash of the event before; `chain.GENESIS` for the first.
        hash: SHA-256 over the canonical text of all the above.
    """

    sequence: int
    time: str
    kind: str
    payload: Mapping[str, Any]
    previous_hash: str
    hash: str


def canonical_json(value: Any) -> str:
    """Return the one text that stands for a JSON value: sorted keys, no blanks, ASCII, floats by shortest repr.

    Parsing the text gives every float back bit for bit; tuples come back as lists.

    Raises:
        LedgerError: something has no JSON form; the message names the key path.
    """
    return json.dumps(_plain(value, "payload"), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any, path: str) -> Any:
    if isinstance(value, Mapping):
        return {_text(key, path): _plain(item, f"{path}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{path}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise LedgerError(f"{path}={value!r} has no JSON form; record null, or a failure, instead")
    if value is None or isinstance(value, str | int | float):
        return value
    raise LedgerError(f"{path} is a {type(value).__name__}, which has no JSON form; convert it to float, int or list")


def _text(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise LedgerError(f"{path} has the key {key!r} of type {type(key).__name__}; JSON keys are text, use str(key)")
    return key
