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
    """Return all observations in the order of arrival, corrected ones in the place of the earlier ones."""
    return [recorded_observation(event.payload) for event in newest_answers(events)]


def answers(events: Sequence[Event]) -> list[Event]:
    """Return the events that record an answer, corrected ones as well as their corrections."""
    return [event for event in events if event.kind in (EventKind.OBSERVATION, EventKind.CORRECTION)]


def newest_answers(events: Sequence[Event]) -> list[Event]:
    """Return the events whose answers count, each in the place of the first answer to its query."""
    return list({event.payload["key"]: event for event in answers(events)}.values())


def with_correction(observations: Sequence[Observation], newer: Observation) -> list[Observation]:
    """Return the observations with a newer one in the place of that to the same query."""
    return [newer if one.key == newer.key else one for one in observations]


def stop_reason(events: Sequence[Event]) -> str | None:
    """Return why the campaign ended; None while it goes on, also where a correction set it going again."""
    last = next((e for e in reversed(events) if e.kind in (EventKind.STOP, EventKind.CORRECTION)), None)
    return None if last is None or last.kind != EventKind.STOP else str(last.payload["reason"])


def paid_by_fidelity(observations: Sequence[Observation]) -> dict[str, float]:
    """Return money paid by fidelity."""
    paid: dict[str, float] = {}
    for observation in observations:
        paid[observation.fidelity] = paid.get(observation.fidelity, 0.0) + observation.price_eur
    return paid


def failures_in_a_row(ladder: Ladder, observations: Sequence[Observation]) -> dict[str, int]:
    """Return the number of failures since the last success of each fidelity; see `stuck_fidelities`."""
    return {name: len(streak) for name, streak in _streaks(ladder, observations).items()}


def stuck_fidelities(ladder: Ladder, observations: Sequence[Observation], limit: int) -> dict[str, Observation]:
    """Return the fidelities that are no longer asked after `limit` failures in a row, with the last failure of each.

    What was refused at no price is not among them: it tells nothing of its source.
    """
    return {name: streak[-1] for name, streak in _streaks(ladder, observations).items() if len(streak) >= limit}


def _streaks(ladder: Ladder, observations: Sequence[Observation]) -> dict[str, list[Observation]]:
    streaks: dict[str, list[Observation]] = {}
    for observation in observations:
        if observation.failure is not None and not observation.price_eur and ladder[observation.fidelity].price_eur:
            continue
        failed = [*streaks.get(observation.fidelity, []), observation] if observation.failure is not None else []
        streaks[observation.fidelity] = failed
    return streaks
