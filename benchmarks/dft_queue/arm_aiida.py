"""Short jobs through plain AiiDA: ``python -m benchmarks.dft_queue.arm_aiida FOLDER COUNT``, AIIDA_PATH set."""

import json
import subprocess
import sys
import time

from benchmarks.dft_queue.throughput import JOB_SECONDS, PROCESSES


def run(count: int) -> float:
    """Return the seconds from the making of the profile to the end of the daemon."""
    started = time.perf_counter()
    _verdi("presto", "--use-zeromq", "--non-interactive", "--profile-name", "plain")
    _verdi("daemon", "start", str(PROCESSES))
    nodes = _submitted(count)
    while not all(node.is_terminated for node in nodes):
        time.sleep(0.1)
    assert all(node.is_finished_ok for node in nodes)
    _verdi("daemon", "stop")
    return time.perf_counter() - started


def _verdi(*arguments: str) -> None:
    subprocess.run(["verdi", *arguments], check=True, stdout=sys.stderr)


def _submitted(count: int) -> list:
    from aiida import load_profile
    from aiida.engine import submit
    from aiida.orm import InstalledCode, Int, load_computer

    load_profile("plain")
    code = InstalledCode(
        label="add", computer=load_computer("localhost"), filepath_executable="/bin/bash",
        default_calc_job_plugin="core.arithmetic.add",
        prepend_text=f"sleep {JOB_SECONDS}",
    ).store()  # fmt: skip
    nodes = []
    for number in range(count):
        builder = code.get_builder()
        builder.x, builder.y = Int(number), Int(1)
        nodes.append(submit(builder))
    return nodes


if __name__ == "__main__":
    print(json.dumps({"seconds": run(int(sys.argv[2]))}))
