"""A disk that fills up under way: the queues say so, lose nothing, and go on once there is room."""

import errno
import os
import subprocess
import time
from pathlib import Path

import pytest

from physics.queue import room
from physics.queue.job import Job
from physics.queue.local_queue import LocalQueue

HERE = Path(__file__).parent


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """Return a file system of 60 MB; marks of jobs lie outside of it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=60m", "tmpfs", folder], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no small file system can be mounted here ({error}): that takes root on Linux")
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parents[1]}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk):
    with (disk / "ballast").open("wb", buffering=0) as stream, pytest.raises(OSError, match="No space left"):
        while True:
            stream.write(bytes(4096))


def make_room(disk):
    (disk / "ballast").unlink()


def jobs_in(folder, count):
    return [Job("queue_kinds:echo", {"marks": str(folder / "marks" / f"{i}"), "value": i, "seconds": 1.5}, f"job {i}")
            for i in range(count)]  # fmt: skip


def ended(folder, count):
    return [len(list((folder / "marks" / f"{i}").glob("end*"))) for i in range(count)]


def watched(queue, done, limit=120.0):
    """Poll until it is done; return all that was said to be running."""
    said, until = set(), time.monotonic() + limit
    while not done(queue.poll()):
        said |= set(queue.running())
        assert time.monotonic() < until, said
        time.sleep(0.1)
    return said


def test_what_is_computed_waits_for_room(disk, tmp_path):
    queue, jobs = LocalQueue(disk / "campaign", disk / "cache", 2), jobs_in(tmp_path, 5)
    queue.submit(jobs)
    watched(queue, lambda _: len(list(tmp_path.glob("marks/*/start*"))) == 2)
    fill(disk)
    watched(queue, lambda _: sum(ended(tmp_path, 5)) == 2)
    seconds = time.monotonic()
    said = watched(queue, lambda _: time.monotonic() > seconds + 3)
    assert any("MB left" in line and "make room" in line for line in said) and queue.poll() == {}
    make_room(disk)
    watched(queue, lambda answers: len(answers) == 5)
    assert [queue.poll()[job.key].get("value") for job in jobs] == list(range(5)), "no failure among them"
    assert ended(tmp_path, 5) == [1] * 5, "what was computed while the disk was full is not computed again"
    assert not list(disk.rglob("*.tmp"))
    queue.close()


@pytest.mark.slow
def test_aiida_goes_on_once_there_is_room(disk, tmp_path):
    """The queue waits; should AiiDA have written before it was seen, it stops with the remedy, and is resumed."""
    pytest.importorskip("aiida.common")
    from physics.queue.aiida_queue import AiidaQueue
    from physics.queue.client import QueueError
    from physics.queue.settings import QueueSettings

    def made():
        queue = AiidaQueue(disk / "campaign", disk / "cache", 2, QueueSettings())
        queue.submit(jobs)
        return queue

    jobs = jobs_in(tmp_path, 10)
    queue = made()
    watched(queue, lambda _: sum(ended(tmp_path, 10)) >= 2)
    fill(disk)
    seconds = time.monotonic()
    try:
        assert any("make room" in line for line in watched(queue, lambda _: time.monotonic() > seconds + 25))
    except QueueError as error:
        assert "make room, then resume" in str(error)
        queue.close()
        queue = None
    make_room(disk)
    queue = queue or made()
    watched(queue, lambda answers: len(answers) == 10, limit=200)
    assert [queue.poll()[job.key].get("value") for job in jobs] == list(range(10))
    queue.close()
    assert ended(tmp_path, 10) == [1] * 10


def test_only_a_full_disk_is_waited_for(monkeypatch):
    monkeypatch.setattr(room, "POLL_SECONDS", 0.0)
    raised = [OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "quota"), None, OSError(errno.EACCES, "forbidden")]

    def write():
        if error := raised.pop(0):
            raise error

    room.patiently(write)
    assert len(raised) == 1
    with pytest.raises(OSError, match="forbidden"):
        room.patiently(write)
