"""AiiDA's provenance in PostgreSQL by the campaign file alone; the server may die and nothing is lost."""

import json
import os
import pwd
import time
from pathlib import Path

import psutil
import pytest

pytest.importorskip("aiida.common")  # AiiDA itself is imported by processes of its own

from physics.queue.aiida_queue import AiidaQueue
from physics.queue.client import QueueError
from physics.queue.job import Job
from physics.queue.settings import QueueSettings
from physics.queues import aiida
from tests.physics import postgres

HERE = Path(__file__).parent


def _reason():
    if postgres.programs() is None:
        return "PostgreSQL's initdb and pg_ctl are not installed"
    unknown = os.getuid() == 0 and "postgres" not in {user.pw_name for user in pwd.getpwall()}
    return "root may not run PostgreSQL, and there is no user postgres" if unknown else ""


pytestmark = pytest.mark.skipif(bool(_reason()), reason=_reason() or "can run")


@pytest.fixture(scope="module")
def server():
    found = postgres.Server()
    yield found
    found.remove()


@pytest.fixture(autouse=True)
def _given(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parents[1]}")
    monkeypatch.setenv("PGPASSWORD", postgres.PASSWORD)


def jobs_in(folder, count, seconds=0.0):
    marks = folder / "marks"
    return [Job("queue_kinds:echo", {"marks": str(marks / f"{i}"), "value": i, "seconds": seconds}, f"job {i}")
            for i in range(count)]  # fmt: skip


def ended(folder, count):
    return [len(list((folder / "marks" / f"{i}").glob("end*"))) for i in range(count)]


def queue_in(folder, address):
    return AiidaQueue(folder / "campaign", folder / "cache", 2, QueueSettings(database=address))


def drained(queue, count, limit=150.0):
    until = time.monotonic() + limit
    while len(answers := queue.poll()) < count:
        assert time.monotonic() < until, (queue.running(), answers)
        time.sleep(0.1)
    return answers


def kill_daemon(folder):
    """Kill circus, broker and workers of the profile in a folder."""
    names = {"verdi", "circus"}
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or ())
        try:
            ours = any(name in line for name in names) and str(folder) in process.environ().get("AIIDA_PATH", "")
            if ours:
                process.kill()
        except psutil.Error:
            continue


@pytest.mark.slow
def test_jobs_end_though_the_daemon_is_killed(server, tmp_path):
    queue, jobs = queue_in(tmp_path, server.database("killed")), jobs_in(tmp_path, 6, seconds=1.0)
    queue.submit(jobs)
    drained(queue, 2)
    kill_daemon(tmp_path)
    answers = drained(queue, 6)
    queue.close()
    assert [answers[job.key].get("value") for job in jobs] == list(range(6)) and ended(tmp_path, 6) == [1] * 6
    config = json.loads((tmp_path / "campaign" / "aiida" / ".aiida" / "config.json").read_text())
    assert config["profiles"]["mfal"]["storage"]["backend"] == "core.psql_dos"
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(postgres.PASSWORD.encode() in one for one in written), "the password is in no file"


def test_what_can_be_wrong_with_the_server_is_told(server, tmp_path, monkeypatch):
    def problems(place, address):
        return {check.name: check.problem for check in aiida(tmp_path / place, {"database": address}).doctor()}

    ours = server.database("ours")
    assert problems("first", ours)["database"] == ""
    assert "is in use by another profile" in problems("second", ours)["profile"]
    assert "is in use by another profile" in problems("second", ours)["profile"], "also when asked again"
    assert problems("first", ours)["database"] == "", "and the first one is none the worse"
    none = problems("third", server.address("none"))["profile"]
    assert "none" in none and "createdb" in none and f"port {server.port}" in none
    monkeypatch.setenv("PGPASSWORD", "wrong")
    assert "password authentication failed" in (wrong := problems("third", ours)["profile"]) and "~/.pgpass" in wrong
    closed = problems("third", "postgresql://mfal@127.0.0.1:1/none")["profile"]
    assert "127.0.0.1" in closed and "port 1" in closed and "start the server" in closed


@pytest.mark.slow
def test_a_server_that_dies_under_way_loses_nothing(server, tmp_path):
    """The queue stops with a clear error; once the server is back, a resumed campaign gets every answer, once."""
    address, jobs = server.database("dies"), jobs_in(tmp_path, 8, seconds=2.0)
    queue = queue_in(tmp_path, address)
    queue.submit(jobs)
    drained(queue, 2)
    server.stop()
    try:
        with pytest.raises(QueueError, match=f"{server.port}/dies cannot be used .*start the server"):
            drained(queue, 8)
        queue.close()
    finally:
        server.start()
    resumed = queue_in(tmp_path, address)
    resumed.submit(jobs)
    answers = drained(resumed, 8)
    resumed.close()
    assert [answers[job.key].get("value") for job in jobs] == list(range(8)) and ended(tmp_path, 8) == [1] * 8
