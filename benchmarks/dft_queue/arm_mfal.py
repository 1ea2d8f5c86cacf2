"""Short jobs through mfal's queue: ``python -m benchmarks.dft_queue.arm_mfal FOLDER COUNT``."""

import json
import sys
import time
from pathlib import Path

from benchmarks.dft_queue.throughput import PROCESSES, TOGETHER
from physics.queue.aiida_queue import AiidaQueue
from physics.queue.job import Job
from physics.queue.settings import QueueSettings


def run(folder: Path, count: int) -> float:
    """Return the seconds until all is answered and the daemon is stopped."""
    started = time.perf_counter()
    queue = AiidaQueue(folder, folder / "cache", PROCESSES, QueueSettings())
    queue.submit([Job("benchmarks.dft_queue.short_job:pause", {"value": i}, str(i)) for i in range(count)], TOGETHER)
    while len(queue.poll()) < count:
        time.sleep(0.1)
    queue.close()
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps({"seconds": run(Path(sys.argv[1]), int(sys.argv[2]))}))
