"""The local queue: once, also across crashes; never more processes than workers."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from physics.queue.local_queue import Job, LocalQueue
from physics.queue.result_cache import ResultCache, content_hash

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _kinds_importable(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(HERE))


@pytest.fixture
def make_queue(tmp_path):
    def make(workers=2, **options):
        return LocalQueue(tmp_path / "campaign", tmp_path / "cache", workers, **options)

    return make


def job(tmp_path, value, kind="echo", **spec):
    return Job(
        f"queue_kinds:{kind}", {"marks": str(tmp_path / "marks" / str(value)), "value": value, **spec}, f"job {value}"
    )


def drain(queue, count, limit=30.0):
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        answers = queue.poll()
        if len(answers) >= count:
            return answers
        time.sleep(0.05)
    raise AssertionError(f"{len(queue.poll())} of {count} answers after {limit} s: {queue.running()}")


def starts(tmp_path, value):
    return len(list((tmp_path / "marks" / str(value)).glob("start*")))


def test_hash_ignores_key_order_and_separates_kinds():
    assert content_hash("a:b", {"x": 1, "y": [2.5]}) == content_hash("a:b", {"y": [2.5], "x": 1})
    assert content_hash("a:b", {"x": 1}) != content_hash("a:c", {"x": 1})
    with pytest.raises(ValueError, match="JSON"):
        content_hash("a:b", {"x": float("nan")})


def test_same_job_is_computed_once(tmp_path, make_queue):
    queue = make_queue()
    (key,) = queue.submit([job(tmp_path, 1)])
    assert queue.submit([job(tmp_path, 1), job(tmp_path, 1)]) == [key, key]
    assert drain(queue, 1)[key] == {"value": 1}
    later = make_queue()
    later.submit([job(tmp_path, 1)])
    assert later.poll()[key] == {"value": 1}
    assert starts(tmp_path, 1) == 1


def test_batch_answers_one_by_one(tmp_path, make_queue):
    queue = make_queue()
    jobs = [job(tmp_path, value) for value in range(4)]
    queue.submit(jobs, together=4)
    assert "1 of 4" in queue.running()[0]
    answers = drain(queue, 4)
    assert [answers[item.key]["value"] for item in jobs] == [0, 1, 2, 3]


def test_kinds_for_many_are_computed_at_once_and_stored_one_by_one(tmp_path, make_queue):
    queue = make_queue()
    jobs = [job(tmp_path, value, kind="echo_many[]") for value in range(4)]
    queue.submit(jobs[:1])
    drain(queue, 1)
    queue.submit(jobs, together=4)
    answers = drain(queue, 4)
    assert [answers[item.key]["value"] for item in jobs] == [0, 1, 2, 3]
    marks = sorted(path.name.rpartition("-")[0].rpartition("-")[0] for path in (tmp_path / "marks").iterdir())
    assert marks == ["together-1", "together-3"]  # the one that is known is not asked again


def test_one_that_breaks_many_fails_alone(tmp_path, make_queue):
    queue = make_queue()
    good, bad = job(tmp_path, 1, kind="echo_many[]"), job(tmp_path, 2, kind="echo_many[]", boom=True)
    queue.submit([bad, good], together=2)
    answers = drain(queue, 2)
    assert answers[good.key] == {"value": 1} and "boom" in answers[bad.key]["failure"]


def test_crash_is_retried_once(tmp_path, make_queue):
    queue = make_queue()
    queue.submit([job(tmp_path, 1, kind="die_first")])
    assert list(drain(queue, 1).values()) == [{"value": 1}]
    assert starts(tmp_path, 1) == 2


def test_repeated_crash_is_a_failure_with_the_log_and_not_stored(tmp_path, make_queue):
    queue = make_queue()
    (key,) = queue.submit([job(tmp_path, 1, kind="explode")])
    assert "boom" in drain(queue, 1)[key]["failure"]
    assert starts(tmp_path, 1) == 2
    assert ResultCache(tmp_path / "cache").read(key) is None


def test_one_broken_job_leaves_its_batch_intact(tmp_path, make_queue):
    queue = make_queue()
    good, bad = job(tmp_path, 1), job(tmp_path, 2, kind="explode")
    queue.submit([bad, good], together=2)
    answers = drain(queue, 2)
    assert answers[good.key] == {"value": 1}
    assert "failure" in answers[bad.key]
    assert starts(tmp_path, 1) == 1


def test_answered_failure_is_stored(tmp_path, make_queue):
    queue = make_queue()
    (key,) = queue.submit([job(tmp_path, 1, kind="refuse")])
    assert drain(queue, 1)[key] == {"failure": "did not converge"}
    assert starts(tmp_path, 1) == 1
    assert ResultCache(tmp_path / "cache").read(key) == {"failure": "did not converge"}


def test_time_limit(tmp_path, make_queue):
    queue = make_queue(limit_seconds=1.0)
    (key,) = queue.submit([job(tmp_path, 1, seconds=30.0)])
    assert "exceeded the limit of 1 s" in drain(queue, 1)[key]["failure"]
    assert starts(tmp_path, 1) == 1


@pytest.mark.parametrize("damage", [b"", b"{", b'{"key": "x", "result": {}}'])
def test_damaged_result_is_moved_aside_and_recomputed(tmp_path, make_queue, damage):
    queue = make_queue()
    (key,) = queue.submit([job(tmp_path, 1)])
    drain(queue, 1)
    path = ResultCache(tmp_path / "cache").path(key)
    path.write_bytes(damage)
    again = make_queue()
    again.submit([job(tmp_path, 1)])
    assert drain(again, 1)[key] == {"value": 1}
    assert starts(tmp_path, 1) == 2
    assert path.with_suffix(".damaged").read_bytes() == damage


def test_flipped_value_is_noticed(tmp_path):
    cache = ResultCache(tmp_path)
    cache.write("ab" * 32, "k:f", {}, {"energy": -1.5})
    path = cache.path("ab" * 32)
    path.write_text(path.read_text().replace("-1.5", "-1.4"))
    assert cache.read("ab" * 32) is None


def test_two_queues_share_the_workers(tmp_path, make_queue):
    queues = [make_queue(workers=2), make_queue(workers=2)]
    for index, queue in enumerate(queues):
        queue.submit([job(tmp_path, 10 * index + i, seconds=0.4) for i in range(3)])
    for queue in queues:
        drain(queue, 3)
    assert _most_at_once(tmp_path / "marks") <= 2


def test_orphan_of_a_killed_parent_is_adopted(tmp_path, make_queue):
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(tmp_path)], env=os.environ | {"PYTHONPATH": f"{HERE}:{HERE.parents[1]}"}
    )
    _wait_for(lambda: starts(tmp_path, 1) == 1)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    queue = make_queue(workers=1)
    keys = queue.submit([job(tmp_path, value, seconds=1.0) for value in (1, 2)])
    answers = drain(queue, 2)
    assert [answers[key]["value"] for key in keys] == [1, 2]
    assert [starts(tmp_path, value) for value in (1, 2)] == [1, 1]
    assert _most_at_once(tmp_path / "marks") == 1


_PARENT = """
import sys, time
from pathlib import Path
from test_local_queue import job
from physics.queue.local_queue import LocalQueue
path = Path(sys.argv[1])
queue = LocalQueue(path / "campaign", path / "cache", 1)
queue.submit([job(path, value, seconds=1.0) for value in (1, 2)], together=2)
time.sleep(60)
"""


def _wait_for(condition, limit=15.0):
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _most_at_once(marks):
    events = sorted((int(path.name.split("-")[1]), path.name.startswith("start")) for path in marks.rglob("*-*-*"))
    level, most = 0, 0
    for _, started in events:
        level += 1 if started else -1
        most = max(most, level)
    return most
