"""What can be wrong with a profile and its daemon, each with its remedy. Runs only where the profile is loaded."""

from pathlib import Path
from typing import Any

from aiida.engine.daemon.client import get_daemon_client
from aiida.manage import get_manager

from physics.queue.daemon import processes, subscribers
from physics.queue.repair import forgotten, paused_batches

CONNECTIONS = 5  # of the bridge, the workers and those who look
_SERVER = """
select pg_is_in_recovery(),
       (select coalesce(checksum_failures, 0) from pg_stat_database where datname = current_database()),
       current_setting('max_connections')::int - (select count(*) from pg_stat_activity)
"""


def examine(root: Path) -> dict[str, str]:
    """Return what was looked at and what is wrong with it; an empty text where nothing is."""
    runs, workers, lost = get_daemon_client().is_daemon_running, subscribers(root), len(forgotten(root))
    left, paused = len(processes(root)), len(paused_batches())
    return {
        "profile": "",
        "database": _database(root),
        "daemon": "" if runs else "does not run; it starts with the next job, or by: mfal queue start",
        "workers": "none has subscribed; type mfal queue stop, then mfal queue start" if runs and not workers else "",
        "left over": f"{left} processes of a killed daemon; type mfal queue stop" if left and not runs else "",
        "forgotten": f"{lost} batches without a task; they are revived while the campaign runs" if lost else "",
        "paused": f"{paused} batches, by a failure; they go on while the campaign runs" if paused else "",
    }


def _database(root: Path) -> str:
    storage: Any = get_manager().get_profile_storage()
    connection = storage.get_session().connection()
    if connection.dialect.name == "postgresql":
        return _postgresql(connection)
    (found,) = connection.exec_driver_sql("PRAGMA quick_check").fetchone()
    remedy = f"move {root} away: results are in the cache, and the next run makes a new profile"
    return "" if found == "ok" else f"{found}; {remedy}"


def _postgresql(connection: Any) -> str:
    """Ask the server what can be wrong with it though it answers."""
    standby, damaged, left = connection.exec_driver_sql(_SERVER).fetchone()
    if standby:
        return "the server is a standby, which cannot be written to; name the primary in [dft.queue] database"
    if damaged:
        return f"the server has found {damaged} damaged pages; restore the database from a backup"
    return f"{left} connections left; raise the server's max_connections" if left < CONNECTIONS else ""
