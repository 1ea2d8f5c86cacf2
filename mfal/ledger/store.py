"""The ledger: append-only events, durable before `append` returns."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self, final

from sqlalchemy import URL, Engine, create_engine, select
from sqlalchemy import event as listener
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from mfal.errors import LedgerError
from mfal.ledger import chain, lock, table
from mfal.ledger.event import Event
from mfal.ledger.image import BUSY_SECONDS, open_image, read_image
from mfal.ledger.place import ledger_file, ledger_url, sync_directory
from mfal.ledger.seal import verify, write_seal

# One file that may be copied at any time between commits; EXTRA also makes the journal's removal, which is the
# commit, survive a power failure.
_PRAGMAS = (
    "journal_mode=DELETE",
    "synchronous=EXTRA",
    f"busy_timeout={int(1000 * BUSY_SECONDS)}",
    "foreign_keys=ON",
)


@final
class Ledger:
    """A writer. At most one exists for a ledger; readers use `read_events`."""

    def __init__(self, engine: Engine, path: Path | None, resources: ExitStack):
        """Take over open resources; use `create` or `open` instead."""
        self._engine = engine
        self._path = path
        self._resources = resources
        self._open = True

    @classmethod
    def create(cls, place: str | Path) -> Self:
        """Start an empty ledger in a directory (``DIR/ledger.sqlite``), a ``.sqlite`` file or a database address.

        Raises:
            LedgerError: there is one already, or it cannot be created.
        """
        url = ledger_url(place)
        path = ledger_file(url)
        with ExitStack() as resources:
            if path is not None:
                _lock(path, resources)
                _create_file(path)
            else:
                _create_tables(url)
            return cls._assembled(url, path, resources)

    @classmethod
    def open(cls, place: str | Path) -> Self:
        """Open an existing ledger for writing, after checking all of it.

        Raises:
            TamperedLedgerError: it was changed; writing would seal the change.
            LedgerError: there is none, another process writes it, or it is from a newer mfal.
        """
        url = ledger_url(place)
        path = ledger_file(url)
        with ExitStack() as resources:
            if path is not None:
                if not path.is_file():
                    raise LedgerError(f"no ledger at {path}; start one with: mfal run CAMPAIGN.toml")
                _lock(path, resources)
                verify(path)
            ledger = cls._assembled(url, path, resources)
            ledger.events()
            return ledger

    @classmethod
    def _assembled(cls, url: URL, path: Path | None, resources: ExitStack) -> Self:
        engine = _engine(url)
        if path is not None:
            resources.callback(write_seal, path)
        resources.callback(engine.dispose)
        return cls(engine, path, resources.pop_all())

    @property
    def head(self) -> Event | None:
        """The last event; None for an empty ledger."""
        self._check_open()
        with self._engine.connect() as connection:
            return table.select_head(connection)

    def append(self, kind: str, payload: Mapping[str, Any]) -> Event:
        """Record one event; when this returns, it survives a power failure.

        Raises:
            LedgerError: see `append_many`.
        """
        return self.append_many([(kind, payload)])[0]

    def append_many(self, entries: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Event]:
        """Record several events, all or none.

        Raises:
            LedgerError: a kind is unknown, a payload has no JSON form, an observation has no key or its key was
                paid already, another process wrote meanwhile, or the disk refused.
        """
        self._check_open()
        if not entries:
            return []
        events: list[Event] = []
        try:
            with self._engine.begin() as connection:
                events = _linked(table.select_head(connection), entries)
                table.insert_events(connection, events)
        except IntegrityError as error:
            raise self._explained(events, error) from error
        except SQLAlchemyError as error:
            raise LedgerError(f"nothing was recorded: {error}; check disk space and permissions") from error
        return events

    def events(self) -> list[Event]:
        """Return all events in order.

        Raises:
            TamperedLedgerError: the chain is broken.
        """
        self._check_open()
        return _read(self._engine)

    def seal(self) -> None:
        """Write the seal now; `close` does so too. Costs a read of the whole ledger."""
        self._check_open()
        if self._path is not None:
            write_seal(self._path)

    def close(self) -> None:
        """Seal the ledger and let other writers in. Closing twice is harmless."""
        self._open = False
        self._resources.close()

    def __enter__(self) -> Self:
        """Return the ledger itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        """Close."""
        self.close()

    def _check_open(self) -> None:
        if not self._open:
            raise LedgerError("the ledger is closed; open it again with Ledger.open")

    def _explained(self, events: list[Event], error: IntegrityError) -> LedgerError:
        keys = [key for event in events if (key := table.key_of(event)) is not None]
        with self._engine.connect() as connection:
            paid = set(connection.scalars(select(table.EVENTS.c.key).where(table.EVENTS.c.key.in_(keys))))
        twice = sorted(paid | {key for key in keys if keys.count(key) > 1})
        if twice:
            return LedgerError(f"already paid: {twice}; nothing was recorded; drop the repeated observation")
        return LedgerError(f"another process wrote to the ledger: {error.orig}; stop it, then resume the campaign")


def read_events(place: str | Path) -> list[Event]:
    """Return the events of a ledger without writing a byte, also while a campaign is running.

    Raises:
        TamperedLedgerError: the chain is broken.
        LedgerError: there is no ledger, or it is from a newer mfal.
    """
    url = ledger_url(place)
    path = ledger_file(url)
    if path is None:
        return _read_server(url)
    with open_image(read_image(path)) as connection:
        table.check_version(connection)
        events = table.select_events(connection)
    chain.check(events)
    return events


def _read_server(url: URL) -> list[Event]:
    engine = _engine(url)
    try:
        return _read(engine)
    finally:
        engine.dispose()


def _read(engine: Engine) -> list[Event]:
    try:
        with engine.connect() as connection:
            table.check_version(connection)
            events = table.select_events(connection)
    except SQLAlchemyError as error:
        raise LedgerError(f"the ledger cannot be read: {error}") from error
    chain.check(events)
    return events


def _linked(previous: Event | None, entries: Iterable[tuple[str, Mapping[str, Any]]]) -> list[Event]:
    time = datetime.now(UTC).isoformat(timespec="microseconds")
    events = []
    for kind, payload in entries:
        previous = chain.link(previous, time, kind, payload)
        events.append(previous)
    return events


def _lock(path: Path, resources: ExitStack) -> None:
    resources.callback(lock.release, lock.acquire(path.with_suffix(".lock")))


def _create_file(path: Path) -> None:
    """Build under another name: a kill leaves either no ledger or a whole one."""
    if path.exists():
        raise LedgerError(f"there is a ledger at {path}; continue it with: mfal resume {path.parent}")
    draft = path.with_suffix(".sqlite.new")
    for stale in (draft, draft.with_name(f"{draft.name}-journal")):
        stale.unlink(missing_ok=True)
    _create_tables(URL.create("sqlite", database=str(draft)))
    draft.rename(path)
    sync_directory(path.parent)
    write_seal(path)


def _create_tables(url: URL) -> None:
    engine = _engine(url)
    try:
        with engine.begin() as connection:
            table.create(connection)
    except SQLAlchemyError as error:
        shown = url.render_as_string(hide_password=True)
        raise LedgerError(f"no ledger could be created at {shown}: {error}; is there one already?") from error
    finally:
        engine.dispose()


def _engine(url: URL) -> Engine:
    try:
        engine = create_engine(url)
    except (SQLAlchemyError, ImportError) as error:
        raise LedgerError(f"no driver for the ledger's address: {error}; install it or use a directory") from error
    if url.get_backend_name() == "sqlite":
        listener.listen(engine, "connect", _configure)
    return engine


def _configure(connection: Any, _record: Any) -> None:
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").close()
