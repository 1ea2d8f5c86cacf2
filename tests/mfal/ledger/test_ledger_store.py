"""The store: append-only, one writer, nothing paid twice, durable under kill -9."""

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateTable

from mfal.errors import LedgerError, TamperedLedgerError
from mfal.ledger import Ledger, read_events, verify
from mfal.ledger.table import EVENTS

WRITER = """
import sys
from mfal.ledger import Ledger
ledger = Ledger.open(sys.argv[1])
print("open", flush=True)
for index in range(int(sys.argv[2])):
    event = ledger.append("decision", {"index": index, "text": "x" * (index * 37 % 3000)})
    print(event.sequence, event.hash, flush=True)
ledger.close()
"""


def start(script, *arguments):
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def file_of(directory):
    return directory / "ledger.sqlite"


@pytest.fixture
def ledger(tmp_path):
    with Ledger.create(tmp_path) as ledger:
        yield ledger


def test_events_come_back_as_appended(tmp_path):
    with Ledger.create(tmp_path) as ledger:
        assert ledger.head is None
        first = ledger.append("campaign", {"seed": 3, "x": [0.1 + 0.2, 1e-300, -0.0], "é": {"b": None}})
        many = ledger.append_many([("decision", {"n": 1}), ("observation", {"key": "dft:AlNi"}), ("stop", {})])
        assert ledger.head == many[-1]
        assert ledger.events() == [first, *many]
        assert ledger.append_many([]) == []
    assert read_events(tmp_path) == [first, *many]
    assert str(read_events(file_of(tmp_path))[0].payload["x"][2]) == "-0.0"
    with Ledger.open(tmp_path) as ledger:
        assert ledger.events() == [first, *many]
        assert ledger.append("resume", {}).previous_hash == many[-1].hash


def test_time_is_iso_utc(ledger):
    assert ledger.append("campaign", {}).time.endswith("+00:00")


@pytest.mark.parametrize("form", ["sqlite:///{}", "sqlite+pysqlite:///{}"])
def test_addresses_are_accepted(tmp_path, form):
    address = form.format(tmp_path / "own.sqlite")
    with Ledger.create(address) as ledger:
        ledger.append("campaign", {})
    assert len(read_events(address)) == 1
    assert verify(tmp_path / "own.sqlite").sealed == "matches"


def test_odd_directory_names_work(tmp_path):
    odd = tmp_path / "a b%20c?d#e"
    with Ledger.create(odd) as ledger:
        ledger.append("campaign", {})
    assert len(read_events(odd)) == 1


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///:memory:"])
def test_ledgers_in_memory_are_refused(address):
    with pytest.raises(LedgerError, match="in memory"):
        Ledger.create(address)


def test_tables_are_portable():
    assert "UNIQUE (kind, key)" in str(CreateTable(EVENTS).compile(dialect=postgresql.dialect()))


def test_create_refuses_an_existing_ledger(tmp_path):
    Ledger.create(tmp_path).close()
    with pytest.raises(LedgerError, match="mfal resume"):
        Ledger.create(tmp_path)


def test_open_and_read_refuse_a_missing_ledger(tmp_path):
    for act in (Ledger.open, read_events):
        with pytest.raises(LedgerError, match=r"no ledger at .*mfal run"):
            act(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_leftovers_of_a_killed_create_do_not_matter(tmp_path):
    (tmp_path / "ledger.sqlite.new").write_bytes(b"half")
    (tmp_path / "ledger.sqlite.new-journal").write_bytes(b"half")
    Ledger.create(tmp_path).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ledger.lock", "ledger.seal", "ledger.sqlite"]


def test_unwritable_place_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match="cannot be written"):
        Ledger.create(tmp_path / "file" / "below")


def test_closed_ledger_refuses_work(tmp_path):
    ledger = Ledger.create(tmp_path)
    ledger.close()
    ledger.close()
    for act in (lambda: ledger.append("stop", {}), ledger.events, lambda: ledger.head, ledger.seal):
        with pytest.raises(LedgerError, match="closed"):
            act()


def test_newer_schema_is_refused(tmp_path):
    Ledger.create(tmp_path).close()
    (tmp_path / "ledger.seal").unlink()
    with sqlite3.connect(file_of(tmp_path)) as connection:
        connection.execute("UPDATE ledger_schema SET version = 2")
    connection.close()
    for act in (Ledger.open, read_events, lambda place: verify(file_of(place))):
        with pytest.raises(LedgerError, match="upgrade mfal"):
            act(tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET payload = '{}'",
        "DELETE FROM event WHERE sequence = 2",
        "INSERT OR REPLACE INTO event SELECT 2, time, kind, 'z', payload, previous_hash, hash FROM event LIMIT 1",
        "REPLACE INTO event SELECT 3, time, kind, key, payload, previous_hash, hash FROM event WHERE sequence = 2",
        "INSERT INTO event SELECT 9, time, kind, NULL, payload, previous_hash, hash FROM event WHERE sequence = 2",
    ],
)
def test_sql_cannot_change_the_past(tmp_path, statement):
    with Ledger.create(tmp_path) as ledger:
        ledger.append_many([("campaign", {}), ("observation", {"key": "a"})])
    connection = sqlite3.connect(file_of(tmp_path))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(statement)
    connection.close()
    assert verify(file_of(tmp_path)).sealed == "matches"


def test_an_observation_is_never_recorded_twice(ledger):
    ledger.append("observation", {"key": "dft:AlNi", "value": 1.0})
    for entries in (
        [("observation", {"key": "dft:AlNi", "value": 2.0})],
        [("stop", {}), ("observation", {"key": "b"}), ("observation", {"key": "dft:AlNi"})],
        [("observation", {"key": "c"}), ("observation", {"key": "c"})],
    ):
        with pytest.raises(LedgerError, match=r"already paid.*nothing was recorded"):
            ledger.append_many(entries)
    assert len(ledger.events()) == 1
    ledger.append_many([("decision", {"key": "dft:AlNi"}), ("decision", {"key": "dft:AlNi"})])


@pytest.mark.parametrize("payload", [{}, {"key": None}, {"key": 3}, {"key": ""}])
def test_an_observation_needs_a_key(ledger, payload):
    with pytest.raises(LedgerError, match="needs the query's key"):
        ledger.append("observation", payload)


def test_a_refused_batch_leaves_nothing(ledger):
    with pytest.raises(LedgerError, match=r"payload\.x=nan"):
        ledger.append_many([("decision", {}), ("decision", {"x": float("nan")})])
    assert ledger.events() == []


def test_second_writer_is_refused_and_readers_are_not(tmp_path):
    with Ledger.create(tmp_path) as ledger:
        ledger.append("campaign", {})
        for act in (Ledger.open, Ledger.create):
            with pytest.raises(LedgerError, match=f"another mfal process with pid {os.getpid()} is running"):
                act(tmp_path)
        other = start("import sys; from mfal.ledger import Ledger; Ledger.open(sys.argv[1])", tmp_path)
        assert other.wait() == 1
        other.stdout.close()
        assert len(read_events(tmp_path)) == 1
        ledger.append("stop", {})
    Ledger.open(tmp_path).close()


def test_reading_in_the_writers_process_keeps_its_locks(tmp_path):
    """POSIX locks of a process vanish when it closes any descriptor of the file; SQLite's must not."""
    with Ledger.create(tmp_path) as ledger, ledger._engine.begin() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        read_events(tmp_path)
        verify(file_of(tmp_path))
        script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('BEGIN IMMEDIATE')"
        other = subprocess.run([sys.executable, "-c", script, file_of(tmp_path)], capture_output=True, text=True)
        assert "database is locked" in other.stderr


def test_a_forked_worker_does_not_keep_the_lock(tmp_path):
    script = """
import os, sys, time
from mfal.ledger import Ledger
ledger = Ledger.create(sys.argv[1])
worker = os.fork()
if worker == 0:
    print(os.getpid(), flush=True)  # from the child: until it runs, it holds what it was forked with
    time.sleep(60)
    os._exit(0)
time.sleep(60)
"""
    parent = start(script, tmp_path)
    worker = int(parent.stdout.readline())
    try:
        with pytest.raises(LedgerError, match=f"pid {parent.pid} "):
            Ledger.open(tmp_path)
        parent.kill()
        parent.wait()
        Ledger.open(tmp_path).close()
    finally:
        os.kill(worker, signal.SIGKILL)
        parent.stdout.close()


def test_ten_kills_lose_no_event(tmp_path):
    Ledger.create(tmp_path).close()
    draw = random.Random(0)
    promised = []
    for _ in range(10):
        writer = start(WRITER, tmp_path, 100_000)
        assert writer.stdout.readline() == "open\n"
        time.sleep(draw.uniform(0.0, 0.25))
        writer.kill()
        printed = writer.stdout.read()
        writer.stdout.close()
        writer.wait()
        lines = printed[: printed.rfind("\n") + 1].splitlines()
        promised += [(int(sequence), digest) for sequence, digest in map(str.split, lines)]
        report = verify(file_of(tmp_path))
        events = read_events(tmp_path)
        assert report.events == len(events)
        assert {(event.sequence, event.hash) for event in events} >= set(promised)
    assert len(promised) > 10
    Ledger.open(tmp_path).close()
    assert verify(file_of(tmp_path)).sealed == "matches"


def test_a_half_done_transaction_is_rolled_back_in_a_copy(tmp_path):
    """A writer killed between writing pages and removing the journal leaves a hot journal."""
    with Ledger.create(tmp_path) as ledger:
        ledger.append_many([("decision", {"index": index, "text": "x" * 500}) for index in range(50)])
        kept = ledger.events()
    script = """
import os, signal, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA cache_size=2")
connection.execute("BEGIN")
connection.execute("DROP TRIGGER event_no_UPDATE")
connection.execute("UPDATE event SET payload = 'spilled ' || payload")
os.kill(os.getpid(), signal.SIGKILL)
"""
    path, journal = file_of(tmp_path), tmp_path / "ledger.sqlite-journal"
    whole = path.read_bytes()
    subprocess.run([sys.executable, "-c", script, path])
    half = path.read_bytes()
    assert journal.stat().st_size > 512 and half != whole
    assert verify(path).sealed == "matches"
    assert read_events(tmp_path) == kept
    assert path.read_bytes() == half and journal.exists()
    with Ledger.open(tmp_path) as ledger:
        assert ledger.events() == kept
    assert path.read_bytes() == whole and not journal.exists()


def test_two_processes_read_while_one_writes(tmp_path):
    Ledger.create(tmp_path).close()
    script = """
import json, sys, time
from pathlib import Path
from mfal.ledger import read_events, verify
counts = []
while not counts or counts[-1] < 300:
    counts.append(len(read_events(sys.argv[1])))
    verify(Path(sys.argv[1]) / "ledger.sqlite")
    time.sleep(0.01)
print(json.dumps(counts))
"""
    readers = [start(script, tmp_path) for _ in range(2)]
    writer = start(WRITER, tmp_path, 300)
    for reader in readers:
        counts = json.loads(reader.communicate(timeout=60)[0])
        assert reader.returncode == 0 and counts == sorted(counts)
    assert writer.communicate(timeout=60)[0].splitlines()[-1].startswith("300 ")
    assert verify(file_of(tmp_path)).sealed == "matches"


def test_open_refuses_to_write_on_a_changed_ledger(tmp_path):
    with Ledger.create(tmp_path) as ledger:
        ledger.append("campaign", {"seed": 3})
    path = file_of(tmp_path)
    path.write_bytes(path.read_bytes().replace(b'{"seed":3}', b'{"seed":4}'))
    before = {file.name: file.read_bytes() for file in Path(tmp_path).iterdir() if file.suffix != ".lock"}
    with pytest.raises(TamperedLedgerError, match="event 1 does not match its hash"):
        Ledger.open(tmp_path)
    assert before == {file.name: file.read_bytes() for file in Path(tmp_path).iterdir() if file.suffix != ".lock"}


def test_pragmas_make_a_commit_durable(ledger):
    with ledger._engine.connect() as connection:
        values = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert values == ["delete", 3, 1, 30_000]
