"""Thousands of queued jobs: how long a campaign's loop waits for the queue, and what the memory does."""

import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.dft_queue.throughput import PROCESSES
from physics.queue.aiida_queue import AiidaQueue
from physics.queue.job import Job
from physics.queue.settings import QueueSettings

COUNT, SMOKE_COUNT, TOGETHER = 2000, 40, 50
LOOP_SECONDS = 0.2


def measure_many(smoke: bool) -> dict[str, Any]:
    """Return the longest submit and poll in seconds, and by how much memory grew after a tenth of the jobs."""
    count, this = SMOKE_COUNT if smoke else COUNT, psutil.Process()
    with tempfile.TemporaryDirectory(prefix="mfal-many-") as folder:
        queue = AiidaQueue(Path(folder), Path(folder) / "cache", PROCESSES, QueueSettings())
        jobs = [Job("benchmarks.dft_queue.short_job:pause", {"value": i}, str(i)) for i in range(count)]
        submitting, _ = _timed(lambda: queue.submit(jobs, TOGETHER))
        longest, before, started = 0.0, 0, time.perf_counter()
        while True:
            seconds, answers = _timed(queue.poll)
            longest = max(longest, seconds)
            before = before or (this.memory_info().rss if len(answers) >= count // 10 else 0)
            if len(answers) == count:
                break
            time.sleep(LOOP_SECONDS)
        grown, total = this.memory_info().rss - before, time.perf_counter() - started
        queue.close()
    return {
        "queued_jobs": count,
        "queued_submit_s": round(submitting, 4),
        "queued_longest_poll_s": round(longest, 4),
        "queued_memory_growth_mb": round(grown / 1e6, 1),
        "queued_s_per_job": round(total / count, 4),
    }


def _timed(work: Any) -> tuple[float, Any]:
    started = time.perf_counter()
    found = work()
    return time.perf_counter() - started, found
