"""Short jobs through Parsl: ``python -m benchmarks.dft_queue.arm_parsl FOLDER COUNT``."""

import json
import sys
import time

from benchmarks.dft_queue.throughput import JOB_SECONDS, PROCESSES


def pause(value: int, seconds: float) -> int:
    """Wait, then answer; imports what it needs, because a worker runs it."""
    import time

    time.sleep(seconds)
    return value


def run(folder: str, count: int) -> float:
    """Return the seconds from start to the end of the executor."""
    import parsl
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    started = time.perf_counter()
    executor = HighThroughputExecutor(
        label="local", max_workers_per_node=PROCESSES, provider=LocalProvider(init_blocks=1, max_blocks=1),
        address="127.0.0.1",
    )  # fmt: skip
    with parsl.load(parsl.Config(executors=[executor], run_dir=folder)):
        app = parsl.python_app(pause)
        futures = [app(number, JOB_SECONDS) for number in range(count)]
        assert [future.result() for future in futures] == list(range(count))
    return time.perf_counter() - started


if __name__ == "__main__":
    print(json.dumps({"seconds": run(sys.argv[1], int(sys.argv[2]))}))
