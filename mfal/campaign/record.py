"""What a ledger's events say without running any numerics."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mfal.errors import LedgerError
from mfal.fidelity import Ladder
from mfal.ledger.event import Event, EventKind
from mfal.ledger.replay import observation_from_payload
from mfal.ledger.store import read_events
from mfal.oracle import Observation

LEDGER = "ledger.sqlite"


def campaign_events(directory: Path) -> list[Event]:
    """Return the events of a campaign, without taking the writer's lock.

    Raises:
        LedgerError: there is no campaign, or its ledger does not verify.
    """
    events = read_events(directory) if (directory / LEDGER).exists() else []
    if not events:
        raise LedgerError(f"{directory} holds no campaign; start one with: mfal run FILE --directory {directory}")
    return events


def recorded_observation(payload: Mapping[str, Any]) -> Observation:
    """Return the observation of an observation event."""
    return observation_from_payload({key: value for key, value in payload.items() if key != "hours"})


def recorded_observations(events: Sequence[Event]) -> list[Observation]:
    """Return all observations in the order of arrival."""
    return [recorded_observation(event.payload) for event in events if event.kind == EventKind.OBSERVATION]


def paid_by_fidelity(observations: Sequence[Observation]) -> dict[str, float]:
    """Return money paid by fidelity."""
    paid: dict[str, float] = {}
    for observation in observations:
        paid[observation.fidelity] = paid.get(observation.fidelity, 0.0) + observation.price_eur
    return paid


def stuck_fidelities(ladder: Ladder, observations: Sequence[Observation], limit: int) -> dict[str, Observation]:
    """Return the fidelities that are no longer asked after `limit` failures in a row, with the last failure of each.

    What was refused at no price is not among them: it tells nothing of its source.
    """
    streaks: dict[str, list[Observation]] = {}
    for observation in observations:
        if observation.failure is not None and not observation.price_eur and ladder[observation.fidelity].price_eur:
            continue
        failed = [*streaks.get(observation.fidelity, []), observation] if observation.failure is not None else []
        streaks[observation.fidelity] = failed
    return {name: streak[-1] for name, streak in streaks.items() if len(streak) >= limit}
