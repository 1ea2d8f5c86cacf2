"""Take in a file of results: all of it, durably, or nothing."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mfal.campaign.config import CampaignConfig
from mfal.campaign.record import campaign_events
from mfal.errors import ResultsRefusedError
from mfal.laboratory.assess import Accepted, Assessment, assess
from mfal.laboratory.reading import Format, read_results
from mfal.laboratory.requests import requests
from mfal.laboratory.told import fold_told, read_told, result_payload, results_payload, told_ledger
from mfal.ledger.event import EventKind


@dataclass(frozen=True)
class Receipt:
    """What became of a file.

    Attributes:
        source: its name.
        sha256: of its bytes.
        recorded: whether anything was written; nothing is where all was told before, or nothing was to be.
        event_hash: of the event that holds the results; empty where nothing was written.
        results: ids of first results.
        corrections: ids of corrected results.
        repeated: ids of results that were told before and changed nothing.
        late: ids of results that came after their due time.
        notes: lines for people.
    """

    source: str
    sha256: str
    recorded: bool
    event_hash: str
    results: tuple[str, ...]
    corrections: tuple[str, ...]
    repeated: tuple[str, ...]
    late: tuple[str, ...]
    notes: tuple[str, ...]


def format_of(file: Path) -> Format:
    """Return the format that a file's name tells.

    Raises:
        ResultsRefusedError: neither ``.csv`` nor ``.json``.
    """
    suffix = file.suffix.lower()
    if suffix == ".csv":
        return "csv"
    if suffix == ".json":
        return "json"
    raise ResultsRefusedError(f"{file}: the name must end in .csv or .json; rename the file")


def tell(directory: Path, content: bytes, form: Format, source: str, dry_run: bool) -> Receipt:
    """Check results and record them in the laboratory's ledger; when this returns, they survive a power failure.

    Args:
        directory: of the campaign.
        content: of the file.
        form: of the content.
        source: name of the file, or of the instrument.
        dry_run: check only.

    Raises:
        RefusedResultsError: something cannot be accepted; then nothing was recorded.
        LedgerError: there is no campaign, or a ledger does not verify.
    """
    events = campaign_events(directory)
    config = CampaignConfig.model_validate(events[0].payload["config"])
    lines, asked = read_results(content, form, source), requests(config, events)
    now, digest = datetime.now(UTC), hashlib.sha256(content).hexdigest()
    unit = config.property.unit
    if dry_run:
        return _receipt(assess(lines, source, unit, asked, read_told(directory), now), source, digest, "")
    # What was told before is read and the news written under one lock.
    with told_ledger(directory) as ledger:
        found = assess(lines, source, unit, asked, fold_told(ledger.events()), now)
        rows = [result_payload(one.result, one.line, one.late_hours, one.as_told) for one in found.accepted]
        payload = results_payload(source, digest, rows)
        event_hash = ledger.append(EventKind.RESULTS, payload).hash if rows else ""
    return _receipt(found, source, digest, event_hash)


def _receipt(found: Assessment, source: str, digest: str, event_hash: str) -> Receipt:
    first = [one.result.id for one in found.accepted if one.replaces is None]
    corrected = [one.result.id for one in found.accepted if one.replaces is not None]
    late = [one.result.id for one in found.accepted if one.late_hours > 0]
    repeated = [line.row.id for line, _ in found.repeated]
    notes = [note for one in found.accepted for note in _notes(one)]
    notes += [
        f"{line.row.id}: told before (revision {revision.number}, from {revision.source}); nothing changed"
        for line, revision in found.repeated
    ]
    return Receipt(
        source, digest, bool(event_hash), event_hash, tuple(first), tuple(corrected), tuple(repeated), tuple(late),
        tuple(notes),
    )  # fmt: skip


def _notes(one: Accepted) -> list[str]:
    found, written = [], one.as_told
    if one.replaces is not None:
        before = one.replaces.result
        was, now = (r.failure if r.value is None else f"{r.value:g}" for r in (before, one.result))
        found.append(f"{one.result.id}: {was} becomes {now}; both are kept")
    if one.late_hours:
        found.append(f"{one.result.id}: came {one.late_hours:g} hours after it was due; it counts all the same")
    if written["value"] is not None and one.result.value != float(written["value"]):
        found.append(f"{one.result.id}: {written['value']} {written['unit']} is recorded as {one.result.value!r}")
    return found
