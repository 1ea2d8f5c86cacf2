"""The queue on AiiDA keeps the promises of the local queue, whoever is killed; nothing lies outside the campaign."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("aiida.common")  # AiiDA itself is imported by processes of its own

from benchmarks.faults import JOBS_PER_KILL, torment
from mfal.errors import OracleError
from physics.queue.aiida_queue import AiidaQueue
from physics.queue.client import environment
from physics.queue.job import Job
from physics.queue.settings import QueueSettings, settings_from
from physics.queues import aiida

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _kinds_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parents[1]}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("aiida")


def job(folder, value, kind="echo", **spec):
    marks = str(folder / "marks" / f"{kind}-{value}")
    return Job(f"queue_kinds:{kind}", {"marks": marks, "value": value, **spec}, f"job {value}")


def drained(queue, count, limit=90.0):
    until = time.monotonic() + limit
    while len(answers := queue.poll()) < count:
        assert time.monotonic() < until, (queue.running(), answers)
        time.sleep(0.1)
    return answers


def starts(folder, name):
    return len(list((folder / "marks" / name).glob("start*")))


def queue_in(folder, **settings):
    return AiidaQueue(folder / "campaign", folder / "cache", 2, QueueSettings(**settings))


def test_answers_failures_and_crashes(folder):
    """Each job once; a crash is tried again; what keeps dying is a failure with the log's words; nobody waits."""
    queue = queue_in(folder)
    jobs = [job(folder, i, third=1 / 3, whole=2.0) for i in range(4)] + [
        job(folder, 4, "refuse"),
        job(folder, 5, "die_first"),
    ]
    began = time.monotonic()
    keys = queue.submit([*jobs, jobs[0], job(folder, 6, "explode")], together=2)
    assert time.monotonic() - began < 1.0
    answers = drained(queue, 7)
    assert [answers[key]["value"] for key in keys[:4]] == [0, 1, 2, 3] and keys[0] == keys[6]
    assert answers[keys[4]]["failure"] == "did not converge"
    assert answers[keys[5]]["value"] == 5 and starts(folder, "die_first-5") == 2
    assert "boom" in answers[keys[7]]["failure"] and starts(folder, "explode-6") >= 2
    nodes = {answer["node"] for answer in answers.values() if "node" in answer}
    assert len(nodes) >= 3 and all(len(node) == 36 for node in nodes)
    queue.close()
    assert all(starts(folder, f"echo-{i}") == 1 for i in range(4))


UNBORN = """
from aiida import load_profile
load_profile("mfal")
from aiida.orm import CalcJobNode
CalcJobNode(label={label!r}).store()
"""


def test_a_batch_that_was_never_born_is_handed_over_again(folder):
    """A bridge was killed while it handed over: its node has a label and no state, and nobody will ever work on it."""
    new = job(folder, 7)
    label, root = f"{new.key[:32]}-1-1", folder / "campaign" / "aiida"
    subprocess.run([sys.executable, "-c", UNBORN.format(label=label)], env=environment(root), check=True, timeout=60)
    queue = queue_in(folder)
    queue.submit([new])
    assert drained(queue, 1)[new.key]["value"] == 7
    queue.close()


def test_another_driver_finds_what_is_under_way(folder):
    """The first one lets go while a job computes; the second gets its answer and computes nothing again."""
    slow = job(folder, 10, seconds=4.0)
    first = queue_in(folder)
    first.submit([slow])
    until = time.monotonic() + 60
    while not starts(folder, "echo-10"):
        assert time.monotonic() < until
        time.sleep(0.05)
    first.close()
    second = queue_in(folder)
    second.submit([slow])
    assert drained(second, 1)[slow.key]["value"] == 10
    second.close()
    assert starts(folder, "echo-10") == 1


def test_the_daemon_is_stopped_and_examined(folder):
    """Nothing is left when a queue closes with nothing to do, and nothing lies outside of the campaign's folder."""
    service = aiida(folder / "campaign", {"engine": "aiida", "computer": "local"})
    status = service.status()
    assert not status.runs and status.batches["finished"] >= 5
    problems = {check.name: check.problem for check in service.doctor()}
    assert "does not run" in problems.pop("daemon") and not any(problems.values())
    service.start()
    assert service.status().runs and service.status().workers >= 1
    service.stop()
    assert not service.status().runs


def test_a_damaged_profile_is_told_and_loses_nothing(folder):
    path = folder / "campaign" / "aiida" / ".aiida" / "config.json"
    good = path.read_text()
    path.write_text("{")
    with pytest.raises(OracleError, match="config"):
        aiida(folder / "campaign", {}).status()
    path.write_text(good)
    shutil.rmtree(folder / "campaign")
    again = queue_in(folder)
    known = job(folder, 5, "die_first")
    again.submit([known])  # from the cache: no profile is made for it
    assert again.poll()[known.key]["value"] == 5 and not (folder / "campaign").exists()
    again.close()


def test_slurm_that_does_not_answer_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    checks = aiida(tmp_path, {"computer": "slurm"}).doctor()
    assert any(check.name == "slurm" and "sinfo" in check.problem for check in checks)


def test_what_slurm_is_told():
    options = {"engine": "aiida", "computer": "slurm", "partition": "short", "account": "mat", "gres": "gpu:1",
               "modules": ["gpaw", "python/3.12"], "walltime_minutes": 5}  # fmt: skip
    settings = settings_from(json.loads(json.dumps(options)))
    assert settings.scheduler == "core.slurm" and settings.walltime_seconds == 300
    told = settings.scheduler_options()
    assert told["queue_name"] == "short" and told["account"] == "mat" and "--gres=gpu:1" in str(told)
    assert "module load python/3.12" in settings.prepended()


@pytest.mark.slow
def test_three_kills(tmp_path):
    """The short form of the trial; the long one: ``python -m benchmarks.faults --kills 30``."""
    trial = torment(tmp_path, 3, "local", 0, lambda text: None)
    assert (trial.lost, trial.executed_twice, trial.stalled) == (0, 0, False), trial
    assert sum(trial.kills.values()) == 3 and trial.answered == 3 * JOBS_PER_KILL
