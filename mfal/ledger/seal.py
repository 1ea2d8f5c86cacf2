"""The seal: what the hash chain cannot see, a cut tail or a flipped byte between the events."""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from sqlalchemy import Connection

from mfal.errors import TamperedLedgerError
from mfal.ledger import chain
from mfal.ledger.event import Event, canonical_json
from mfal.ledger.image import open_image, read_image
from mfal.ledger.place import sync_directory
from mfal.ledger.table import check_version, select_events


@dataclass(frozen=True)
class Seal:
    """State of a ledger file when it was last sealed.

    Attributes:
        head_sequence: sequence of the last event; 0 for an empty ledger.
        head_hash: its hash; `chain.GENESIS` for an empty ledger.
        file_sha256: digest of the whole file.
    """

    head_sequence: int
    head_hash: str
    file_sha256: str


@dataclass(frozen=True)
class VerifyReport:
    """What a successful check found.

    Attributes:
        events: number of events.
        head_hash: hash of the last one; `chain.GENESIS` for an empty ledger.
        sealed: ``matches`` every byte; ``older``: events followed the seal, so bytes between the events are not
            covered (the process was killed, or is running); ``absent``: a cut tail cannot be noticed.
    """

    events: int
    head_hash: str
    sealed: Literal["matches", "older", "absent"]


def seal_file(path: Path) -> Path:
    """Return where the seal of the ledger file at `path` is kept."""
    return path.with_suffix(".seal")


def write_seal(path: Path) -> Seal:
    """Seal the ledger file at `path`, atomically and durably.

    Raises:
        TamperedLedgerError: the ledger is damaged; a seal would hide it.
    """
    image = read_image(path)
    seal = _describe(image, _sound_events(image))
    draft = path.with_suffix(".seal.new")
    with draft.open("wb") as file:
        file.write(_encode(seal))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(seal_file(path))
    sync_directory(path.parent)
    return seal


def verify(path: Path) -> VerifyReport:
    """Check file, chain and seal of the ledger file at `path`; changes nothing, also while a campaign runs.

    Raises:
        TamperedLedgerError: says what does not match; names the first bad event where there is one.
        LedgerError: there is no ledger or it is from a newer mfal.
    """
    seal = _read_seal(seal_file(path))  # before the ledger, so that a running campaign can only be ahead of it
    image = read_image(path)
    events = _sound_events(image)
    found = _describe(image, events)
    return VerifyReport(len(events), found.head_hash, _compare(seal, found, events))


def _sound_events(image: bytes) -> list[Event]:
    with open_image(image) as connection:
        _check_pages(connection)
        check_version(connection)
        events = select_events(connection)
    chain.check(events)
    return events


def _check_pages(connection: Connection) -> None:
    problems = [row[0] for row in connection.exec_driver_sql("PRAGMA integrity_check")]
    if problems != ["ok"]:
        raise TamperedLedgerError(f"the ledger file is damaged: {'; '.join(map(str, problems[:3]))}")


def _describe(image: bytes, events: list[Event]) -> Seal:
    head_hash = events[-1].hash if events else chain.GENESIS
    return Seal(len(events), head_hash, hashlib.sha256(image).hexdigest())


def _compare(seal: Seal | None, found: Seal, events: list[Event]) -> Literal["matches", "older", "absent"]:
    if seal is None:
        return "absent"
    if seal.head_sequence > found.head_sequence:
        lost = f"events {found.head_sequence + 1} to {seal.head_sequence} are missing"
        raise TamperedLedgerError(f"the ledger was truncated: {lost}")
    sealed_hash = events[seal.head_sequence - 1].hash if seal.head_sequence else chain.GENESIS
    if seal.head_hash != sealed_hash:
        raise TamperedLedgerError(f"event {seal.head_sequence} is not the one that was sealed")
    if seal.head_sequence < found.head_sequence:
        return "older"
    if seal.file_sha256 != found.file_sha256:
        raise TamperedLedgerError("all events are sound, but another byte of the file was changed since it was sealed")
    return "matches"


def _encode(seal: Seal) -> bytes:
    body = asdict(seal)
    checksum = hashlib.sha256(canonical_json(body).encode("ascii")).hexdigest()
    return f"{canonical_json(body | {'checksum': checksum})}\n".encode("ascii")


def _read_seal(path: Path) -> Seal | None:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    try:
        body = json.loads(text)
        body.pop("checksum")
        seal = Seal(**body)
        sound = _encode(seal) == text
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise TamperedLedgerError(f"{path} is not a seal: {error}") from error
    if not sound:
        raise TamperedLedgerError(f"{path} does not match its own checksum")
    return seal
