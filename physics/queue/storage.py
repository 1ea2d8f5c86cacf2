"""Where AiiDA keeps a campaign's provenance: SQLite in its directory, or PostgreSQL. Runs only with AIIDA_PATH set."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiida.common.exceptions import AiidaException, UnreachableStorage
from aiida.manage.configuration.profile import Profile
from aiida.storage.psql_dos.migrator import OperationalError, PsqlDosMigrator  # pyright: ignore[reportPrivateImportUsage]

from physics.queue.room import FULL
from physics.queue.settings import QueueSettings

UNREACHABLE = (UnreachableStorage, OperationalError)


class DatabaseError(Exception):
    """PostgreSQL cannot be used: names the address and the remedy."""


def storage(root: Path, settings: QueueSettings) -> tuple[str, dict[str, Any]]:
    """Return AiiDA's name of the storage and what it is told."""
    if settings.database is None:
        return "core.sqlite_dos", {}
    address = urlsplit(settings.database)
    told = {
        "database_engine": "postgresql_psycopg",
        "database_hostname": address.hostname or "",
        "database_port": address.port or 5432,
        "database_username": address.username,
        "database_password": "",  # libpq then looks at PGPASSWORD and PGPASSFILE, which are nobody else's to read
        "database_name": address.path.strip("/"),
        "repository_uri": (root / ".aiida" / "repository").as_uri(),
    }
    return "core.psql_dos", told


def require_own(root: Path, settings: QueueSettings) -> None:
    """See to it that PostgreSQL answers and holds nothing else's provenance, before anything is written to it.

    Raises:
        DatabaseError: it does not answer, or its database is another profile's.
    """
    if settings.database is None:
        return
    name, told = storage(root, settings)
    profile = Profile("check", {"storage": {"backend": name, "config": told}, "process_control": {}})
    with PsqlDosMigrator(profile) as migrator:
        try:
            used = migrator.is_database_initialised
        except UNREACHABLE as error:
            raise DatabaseError(explained(error, settings)) from error
        try:
            if used:
                migrator.validate_storage()
        except AiidaException as error:
            remedy = "make one for this campaign alone by createdb, and name it in [dft.queue] database"
            raise DatabaseError(f"{settings.database} is in use by another profile of AiiDA; {remedy}") from error


def explained(error: Exception, settings: QueueSettings) -> str:
    """Return what has happened; where PostgreSQL cannot be reached, with its address and the remedy."""
    if "disk is full" in str(error) or getattr(error, "errno", None) in FULL:
        return f"{type(error).__name__}: the disk is full; make room, then resume"
    if settings.database is None or not isinstance(error, UNREACHABLE):
        return f"{type(error).__name__}: {error}"
    said = str(error).partition("\n")[0]
    remedy = "start the server, make the database (createdb), or give PGPASSWORD or ~/.pgpass; then resume"
    return f"{settings.database} cannot be used ({said}); {remedy}"
