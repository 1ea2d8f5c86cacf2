"""Where a ledger lives: a directory, a file, or a database address."""

import os
from pathlib import Path

from sqlalchemy import URL, make_url

from mfal.errors import LedgerError

FILE_NAME = "ledger.sqlite"


def ledger_url(place: str | Path) -> URL:
    """Return the database address of a ledger.

    Args:
        place: a campaign's directory, a ``.sqlite`` file, or any SQLAlchemy address (``postgresql://...``).

    Raises:
        LedgerError: an address in memory, which would be lost with the process.
    """
    if "://" not in str(place):
        return URL.create("sqlite", database=str(_file(Path(place))))
    url = make_url(str(place))
    if url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:"):
        raise LedgerError(f"{place=} keeps the ledger in memory; give a directory or a file")
    return url


def ledger_file(url: URL) -> Path | None:
    """Return the file of an SQLite ledger; None for a server."""
    return Path(str(url.database)).absolute() if url.get_backend_name() == "sqlite" else None


def sync_directory(directory: Path) -> None:
    """Make renames and new names in a directory survive a power failure."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _file(path: Path) -> Path:
    return (path if path.suffix == ".sqlite" else path / FILE_NAME).absolute()
