"""Read a ledger file without touching it, while another process may be writing to it.

Only SQLite itself opens the file: closing any other descriptor would drop the locks that a writer in the same
process holds (POSIX record locks belong to the process, not to the descriptor).
"""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sqlalchemy import Connection, StaticPool, create_engine
from sqlalchemy.exc import DatabaseError

from mfal.errors import LedgerError, TamperedLedgerError

BUSY_SECONDS = 30.0

# SQLite quotes damaged text in its messages, which Python then cannot decode; damaged sizes ask for absurd memory.
_UNREADABLE = (UnicodeDecodeError, MemoryError, OverflowError)


def read_image(path: Path) -> bytes:
    """Return the bytes of the file after its last commit.

    A transaction that a killed writer left half done is rolled back in a copy, not in the file.

    Raises:
        LedgerError: there is no file, or a writer did not let go of it in time.
        TamperedLedgerError: SQLite cannot read it.
    """
    if not path.is_file():
        raise LedgerError(f"no ledger at {path}; start one with: mfal run CAMPAIGN.toml")
    try:
        return _committed(path)
    except (sqlite3.Error, *_UNREADABLE) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
            raise LedgerError(f"{path} was busy for {BUSY_SECONDS} s; try again") from error
        raise TamperedLedgerError(f"{path} is not a readable ledger: {error}") from error


@contextmanager
def open_image(image: bytes) -> Iterator[Connection]:
    """Give a connection to a copy of the database in memory.

    Raises:
        TamperedLedgerError: what is read through the connection is not sound.
    """
    engine = create_engine("sqlite://", creator=lambda: _in_memory(image), poolclass=StaticPool)
    try:
        with engine.connect() as connection:
            yield connection
    except (DatabaseError, *_UNREADABLE) as error:
        raise TamperedLedgerError(f"the ledger is damaged: {getattr(error, 'orig', error)}") from error
    finally:
        engine.dispose()


def _in_memory(image: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:")
    connection.deserialize(image)
    return connection


def _committed(path: Path) -> bytes:
    while True:
        try:
            return _serialized(path, "ro")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_READONLY_ROLLBACK:
                raise
        image = _rolled_back_copy(path)
        if image is not None:
            return image


def _serialized(path: Path, mode: str) -> bytes:
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    with closing(sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT COUNT(*) FROM sqlite_schema").fetchone()  # takes the shared lock
        image, size = connection.serialize(), path.stat().st_size
    if len(image) != size:
        raise sqlite3.DatabaseError(f"the file has {size} bytes, its pages {len(image)}")
    return image


def _rolled_back_copy(path: Path) -> bytes | None:
    """Roll back in a copy; None when somebody repaired the file meanwhile."""
    files = [path, path.with_name(f"{path.name}-journal")]
    with TemporaryDirectory() as folder:
        try:
            before = [_stamp(file) for file in files]
            for file in files:
                shutil.copyfile(file, Path(folder) / file.name)
            if before != [_stamp(file) for file in files]:
                return None
        except FileNotFoundError:
            return None
        return _serialized(Path(folder) / path.name, "rw")


def _stamp(file: Path) -> tuple[int, int, int]:
    status = file.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns
