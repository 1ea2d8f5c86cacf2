"""Ask for the next batch: let the campaign go on as far as it can without a person, then say what waits for one."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mfal.campaign.config import CampaignConfig
from mfal.campaign.loop import Campaign
from mfal.campaign.plugins import named_pool
from mfal.campaign.record import campaign_events, recorded_observations, stop_reason
from mfal.errors import LedgerBusyError
from mfal.laboratory.batch import batch_csv, build_batch, results_form
from mfal.laboratory.options import attended
from mfal.laboratory.requests import Request, requests
from mfal.laboratory.schema import Batch
from mfal.laboratory.told import Told, read_told
from mfal.ledger.event import Event, EventKind
from mfal.ledger.place import sync_directory

FOLDER = "laboratory"


def begin(config: CampaignConfig, directory: Path) -> None:
    """Start a campaign in a new or empty directory and let it go on as far as it can without a person.

    Raises:
        LedgerError: the directory already holds a campaign.
    """
    campaign = Campaign.start(config, directory)
    try:
        campaign.advance(lambda _: None)
    finally:
        campaign.close()


def ask(directory: Path) -> Batch:
    """Return everything that waits for the laboratory, after the campaign has learnt from what was told.

    Where there is nothing to learn nothing is written, so asking again gives the same batch. Where another process runs
    the campaign, that one goes on with it, and the batch is what waits at present.

    Raises:
        LedgerError: there is no campaign, or a ledger does not verify.
    """
    events, running = campaign_events(directory), False
    config = CampaignConfig.model_validate(events[0].payload["config"])
    if can_go_on(config, events, read_told(directory)):
        running = not _advanced(directory)
        events = campaign_events(directory)
    return build_batch(config, events, named_pool(config), read_told(directory), running)


class BatchFiles(NamedTuple):
    """Where a batch was written, and the table to be filled in."""

    json: Path
    csv: Path
    form: Path


def write_batch(batch: Batch, folder: Path) -> BatchFiles:
    """Write a batch as JSON and CSV, and a form for its results; each file appears whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    files = BatchFiles(folder / "batch.json", folder / "batch.csv", folder / "results_form.csv")
    _write(files.json, batch.model_dump_json(indent=2) + "\n")
    _write(files.csv, batch_csv(batch))
    _write(files.form, results_form(batch))
    sync_directory(folder)
    return files


def can_go_on(config: CampaignConfig, events: Sequence[Event], told: Told) -> bool:
    """Say whether a campaign has something to do before a person brings more; no numerics are run."""
    if _corrected(events, told):
        return True
    if stop_reason(events) is not None:
        return False
    waiting = [one for one in requests(config, events).values() if not one.answered]
    return _undecided(events) or _others_in_flight(config, events) or _landing(config, waiting, told)


def _advanced(directory: Path) -> bool:
    """Let the campaign go on; return False where another process has it."""
    try:
        campaign = Campaign.resume(directory)
    except LedgerBusyError:
        return False
    try:
        campaign.advance(lambda _: None)
    finally:
        campaign.close()
    return True


def _corrected(events: Sequence[Event], told: Told) -> bool:
    recorded = [(one, told.newest(one.key)) for one in recorded_observations(events)]
    return any(newest.number > one.details["revision"] for one, newest in recorded if newest is not None)


def _undecided(events: Sequence[Event]) -> bool:
    telling = (EventKind.DECISION, EventKind.OBSERVATION, EventKind.CORRECTION)
    last = next((event.kind for event in reversed(events) if event.kind in telling), None)
    return last != EventKind.DECISION


def _others_in_flight(config: CampaignConfig, events: Sequence[Event]) -> bool:
    flights: set[str] = set()
    by_people = {rung.name for rung in attended(config.ladder)}
    for event in events:
        if event.kind == EventKind.DECISION:
            asked = [query for query in event.payload["queries"] if query["fidelity"] not in by_people]
            flights |= {f"{query['fidelity']}:{query['candidate']}" for query in asked}
        elif event.kind == EventKind.OBSERVATION:
            flights.discard(event.payload["key"])
        elif event.kind == EventKind.WITHDRAWAL:
            flights -= set(event.payload["queries"])
    return bool(flights)


def _landing(config: CampaignConfig, waiting: Sequence[Request], told: Told) -> bool:
    """Say whether results can be learnt from: on a declared clock, those that are due first have to be there."""
    if config.campaign.clock == "declared":
        first = min((one.due_hours for one in waiting), default=0.0)
        waiting = [one for one in waiting if one.due_hours == first]
        return bool(waiting) and all(one.key in told.revisions for one in waiting)
    return any(one.key in told.revisions for one in waiting)


def _write(file: Path, text: str) -> None:
    draft = file.with_name(f".{file.name}.{os.getpid()}.part")
    with draft.open("w", encoding="utf-8", newline="") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    draft.replace(file)
