"""What a plug-in that exports a campaign is asked, and what it says (entry point group ``mfal.exports``); plain tables.

Provenance goes both ways: a row of a table, a document or a structure carries the hash of the ledger's event that it
comes from, and an event's details name its calculations.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import pandas as pd

from mfal.campaign.config import CampaignConfig
from mfal.campaign.record import campaign_events, newest_answers, recorded_observation
from mfal.errors import MfalError
from mfal.ledger import Event
from mfal.ledger.event import canonical_json
from mfal.ledger.place import sync_directory
from mfal.oracle import Observation, need_package

# Columns of a table, in this order.
COLUMNS = {
    "campaign": "string",
    "sequence": "int64",
    "event_hash": "string",
    "time": "string",
    "hours": "float64",
    "candidate": "string",
    "fidelity": "string",
    "property": "string",
    "value": "float64",
    "unit": "string",
    "noise_sd": "float64",
    "price_eur": "float64",
    "failure": "string",
    "calculations": "string",
    "details": "string",
}


class ExportError(MfalError):
    """A campaign that cannot be exported as asked: names the value and the remedy."""


@dataclass(frozen=True)
class Entry:
    """One observation of a ledger.

    Attributes:
        sequence: of its event.
        event_hash: SHA-256 of its event, hexadecimal.
        time: when it was recorded, ISO-8601 in UTC.
        hours: the campaign's clock.
        observation: what was answered.
    """

    sequence: int
    event_hash: str
    time: str
    hours: float
    observation: Observation

    @property
    def calculations(self) -> tuple[str, ...]:
        """Names of its calculations, the candidate's first: the first 16 digits of their content hashes."""
        named = self.observation.details.get("calculations", ())
        return tuple(named) if isinstance(named, list) and all(isinstance(name, str) for name in named) else ()


@dataclass(frozen=True)
class ExportRequest:
    """What to export.

    Attributes:
        campaign: its name.
        property_name: what is asked.
        unit: of the values.
        head_hash: of the last event.
        entries: the observations in the order of arrival.
        directory: of the campaign.
        queue: its table ``[dft.queue]``.
        cache: folder of finished calculations by content hash.
        output: the file to be.
    """

    campaign: str
    property_name: str
    unit: str
    head_hash: str
    entries: tuple[Entry, ...]
    directory: Path
    queue: Mapping[str, Any]
    cache: Path
    output: Path


@dataclass(frozen=True)
class ExportReport:
    """What became of it.

    Attributes:
        written: number of things in the file.
        noun: what they are, in the plural.
        left_out: observations that the format has no place for.
        missing: calculations that the ledger names and that could not be had, each with the reason.
        source: where they were looked for; empty for the folder of finished calculations.
    """

    written: int
    noun: str
    left_out: int = 0
    missing: tuple[tuple[str, str], ...] = ()
    source: str = ""


@runtime_checkable
class Exporter(Protocol):
    """Writes one format."""

    def __call__(self, request: ExportRequest, target: Path) -> ExportReport:
        """Write a file named `target`, which is renamed to the request's output once it is whole.

        Raises:
            ExportError: the output's name does not suit the format, or the file cannot be written.
            MissingExtraError: a package is not installed.
        """
        ...


def read_request(directory: Path, output: Path, cache: Path | None = None) -> ExportRequest:
    """Read what a campaign's ledger holds; it may be running.

    Args:
        directory: of the campaign.
        output: the file to be.
        cache: folder of finished calculations; None for the campaign's own.

    Raises:
        LedgerError: there is no campaign, or its ledger does not verify.
        ExportError: the folder of finished calculations was named and does not exist.
    """
    events = campaign_events(directory)
    config = CampaignConfig.model_validate(events[0].payload["config"])
    if cache is not None and not cache.is_dir():
        raise ExportError(f"--cache {cache} is no folder; name the one with the finished calculations")
    found = cache or config.compute.folder(directory)
    head, what, queue = config.campaign.name, config.property, config.dft.queue.model_dump()
    return ExportRequest(head, what.name, what.unit, events[-1].hash, _entries(events), directory, queue, found, output)


def export(exporter: Exporter, request: ExportRequest, force: bool) -> ExportReport:
    """Let a plug-in write under another name, then rename: the output appears whole or not at all.

    Raises:
        ExportError: the output exists and is not to be replaced, or cannot be written.
        MissingExtraError: a package is not installed.
    """
    output = request.output
    if not output.parent.is_dir():
        raise ExportError(f"--output {output}: the folder {output.parent} does not exist; make it first")
    if output.is_dir() or (output.exists() and not force):
        raise ExportError(f"--output {output} exists; name another file, or replace a file with --force")
    draft = output.with_name(f".{output.name}.{os.getpid()}.part")
    try:
        report = exporter(request, draft)
        _sync(draft)
        os.replace(draft, output)
        sync_directory(output.parent)
    except OSError as error:
        raise ExportError(f"{output} cannot be written ({error}); make room, or name another place") from error
    finally:
        draft.unlink(missing_ok=True)
    return report


def need_suffix(request: ExportRequest, suffixes: Sequence[str]) -> None:
    """Raise an ExportError if the output's name ends in none of `suffixes`: readers go by it."""
    if request.output.suffix not in suffixes:
        raise ExportError(f"--output {request.output}: the name must end in {' or '.join(suffixes)}")


def csv(request: ExportRequest, target: Path) -> ExportReport:
    """Write a row an observation as CSV, UTF-8; floats by shortest repr, so they come back bit for bit."""
    need_suffix(request, (".csv",))
    table(request).to_csv(target, index=False)
    return ExportReport(len(request.entries), "rows")


def parquet(request: ExportRequest, target: Path) -> ExportReport:
    """Write a row an observation as Parquet; the hash of the last event is in the file's metadata."""
    need_suffix(request, (".parquet",))
    need_package("pyarrow", "documents")
    table(request).to_parquet(target, index=False)
    return ExportReport(len(request.entries), "rows")


def table(request: ExportRequest) -> pd.DataFrame:
    """Return a row an observation, columns `COLUMNS`; names of calculations are separated by blanks."""
    types: Any = COLUMNS
    frame = pd.DataFrame([_row(request, entry) for entry in request.entries], columns=list(COLUMNS)).astype(types)
    frame.attrs = {"campaign": request.campaign, "head_hash": request.head_hash}
    return frame


def _entries(events: Sequence[Event]) -> tuple[Entry, ...]:
    return tuple(_entry(event) for event in newest_answers(events))


def _entry(event: Event) -> Entry:
    hours, observation = float(event.payload["hours"]), recorded_observation(event.payload)
    return Entry(event.sequence, event.hash, event.time, hours, observation)


def _row(request: ExportRequest, entry: Entry) -> dict[str, Any]:
    found = entry.observation
    return {
        "campaign": request.campaign,
        "sequence": entry.sequence,
        "event_hash": entry.event_hash,
        "time": entry.time,
        "hours": entry.hours,
        "candidate": found.candidate,
        "fidelity": found.fidelity,
        "property": request.property_name,
        "value": found.value,
        "unit": request.unit,
        "noise_sd": found.noise_sd,
        "price_eur": found.price_eur,
        "failure": found.failure,
        "calculations": " ".join(entry.calculations),
        "details": canonical_json(found.details),
    }


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
