"""SLURM that stops answering under way: the queue says what it waits for, gives nothing up, and goes on by itself."""

import os
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("aiida.common")  # AiiDA itself is imported by processes of its own

from physics.queue.aiida_queue import AiidaQueue
from physics.queue.job import Job
from physics.queue.settings import QueueSettings
from physics.queue.slurm import slurm_problem
from physics.queues import aiida
from tests.physics import slurm

HERE = Path(__file__).parent
SILENT_SECONDS = 75.0  # AiiDA gives up and pauses a batch within


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    if slurm.reason():
        pytest.skip(slurm.reason())
    found = slurm.Cluster(tmp_path / "slurm")
    monkeypatch.setenv("SLURM_CONF", str(found.conf))
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parents[1]}")
    yield found
    found.remove()


def answered(queue, count, cluster, limit=180.0):
    until = time.monotonic() + limit
    while len(answers := queue.poll()) < count:
        assert time.monotonic() < until, (queue.running(), answers)
        cluster.resume()
        time.sleep(0.5)
    return answers


def heard(queue, seconds):
    """Watch what is running; return how long the queue has said that it waits for SLURM."""
    until, waited = time.monotonic() + seconds, 0.0
    while time.monotonic() < until:
        queue.poll()
        waited += 0.5 * any(line.startswith("waits: slurm_load_partitions") for line in queue.running())
        time.sleep(0.5)
    return waited


def paused(folder):
    (found,) = [one.problem for one in aiida(folder, {"computer": "slurm"}).doctor() if one.name == "paused"]
    return found


@pytest.mark.slow
def test_a_controller_that_hangs_and_one_that_is_killed(cluster, tmp_path):
    folder, cache, marks = tmp_path / "campaign", tmp_path / "cache", tmp_path / "marks"
    queue = AiidaQueue(folder, cache, 2, QueueSettings(computer="slurm"))
    jobs = [Job("queue_kinds:echo", {"marks": str(marks / f"{i}"), "value": i, "seconds": 2.0}, f"job {i}")
            for i in range(10)]  # fmt: skip
    queue.submit(jobs)
    answered(queue, 2, cluster)
    cluster.signal(signal.SIGSTOP)
    assert heard(queue, SILENT_SECONDS) > SILENT_SECONDS / 4 and "batches" in paused(folder)
    cluster.signal(signal.SIGCONT)
    answered(queue, 6, cluster)
    cluster.signal(signal.SIGKILL)
    assert heard(queue, SILENT_SECONDS / 2) > 0
    cluster.start()
    answers = answered(queue, 10, cluster)
    assert [answers[job.key].get("value") for job in jobs] == list(range(10))
    assert [len(list((marks / f"{i}").glob("end*"))) for i in range(10)] == [1] * 10
    queue.close()
    assert paused(folder) == ""


def test_what_sinfo_says_is_understood(tmp_path, monkeypatch):
    (tmp_path / "sinfo").write_text("#!/bin/sh\nprintf '%b' \"$STATES\"\n")
    (tmp_path / "sinfo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    for states, word in [("idle\ndown*\n", ""), ("drained\ndown*\n", "every node is down* or drained"), ("", "")]:
        monkeypatch.setenv("STATES", states)
        assert slurm_problem().startswith(word) and bool(slurm_problem()) == bool(word)
