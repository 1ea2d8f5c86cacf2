"""Observations to payloads and back, every float bit for bit."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from mfal.errors import LedgerError
from mfal.oracle import Observation

_FIELDS = frozenset(field.name for field in fields(Observation))


def observation_payload(observation: Observation) -> dict[str, Any]:
    """Return an observation as JSON values, with its key."""
    return {name: getattr(observation, name) for name in sorted(_FIELDS)} | {"key": observation.key}


def observation_from_payload(payload: Mapping[str, Any]) -> Observation:
    """Return the observation that was recorded.

    Raises:
        LedgerError: a field is missing, unknown, or contradicts the key.
    """
    if payload.keys() != _FIELDS | {"key"}:
        odd = sorted(payload.keys() ^ (_FIELDS | {"key"}))
        raise LedgerError(f"a recorded observation has other fields than this mfal writes: {odd}")
    observation = Observation(**{name: payload[name] for name in _FIELDS})
    if observation.key != payload["key"]:
        raise LedgerError(f"a recorded observation has key={payload['key']!r} but describes {observation.key!r}")
    return observation
