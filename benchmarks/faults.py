"""Kill everything in turn: ``python -m benchmarks.faults --kills 30 [--computer slurm]``; nothing may be lost.

A driver fills the queue with jobs that leave marks where they start and end. Meanwhile the driver, the bridge, circus,
the broker, a worker of AiiDA or a running job is killed with SIGKILL, at a random moment after a job has ended since
the last kill: starting takes longer than the time between blind kills, so that nothing would ever run. A killed driver
is started again. No job may be without an answer, none may be computed to its end twice, and something must go on
after every kill.
"""

import argparse
import contextlib
import json
import math
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

JOBS_PER_KILL, JOB_SECONDS = 6, 1.5
PAUSE_SECONDS = (0.0, 4.0)
STALL_SECONDS = 120.0
KIND = "benchmarks.faults:marked"


@dataclass
class Trial:
    """What happened.

    Attributes:
        kills: by victim.
        answered: jobs with a result.
        lost: jobs without one, or with a failure.
        executed_twice: jobs that were computed to their end more than once.
        stalled: whether nothing happened for `STALL_SECONDS`.
        seconds: in all.
    """

    kills: Counter[str] = field(default_factory=Counter)
    answered: int = 0
    lost: int = 0
    executed_twice: int = 0
    stalled: bool = False
    seconds: float = 0.0


def marked(spec: dict[str, object]) -> dict[str, object]:
    """Answer a job; its start and its end leave marks."""
    marks = Path(str(spec["marks"]))
    marks.mkdir(parents=True, exist_ok=True)
    (marks / f"start-{time.time_ns()}").touch()
    time.sleep(JOB_SECONDS)
    (marks / f"end-{time.time_ns()}").touch()
    return {"value": spec["value"]}


def drive(directory: Path, count: int, computer: str) -> int:
    """Be the driver: submit all jobs and wait for all answers."""
    from physics.queue.aiida_queue import AiidaQueue
    from physics.queue.job import Job
    from physics.queue.settings import QueueSettings

    queue = AiidaQueue(directory, directory / "cache", 2, QueueSettings(computer=computer))
    jobs = [Job(KIND, {"marks": str(directory / "marks" / str(i)), "value": i}, f"job {i}") for i in range(count)]
    queue.submit(jobs)
    while len(answers := queue.poll()) < count:
        time.sleep(0.2)
    (directory / "answers.json").write_text(json.dumps([answers[job.key] for job in jobs]))
    queue.close()
    return 0


def torment(directory: Path, kills: int, computer: str, seed: int, say: Callable[[str], None]) -> Trial:
    """Kill until there were enough kills and all jobs are answered."""
    rng, trial, count, started = random.Random(seed), Trial(), kills * JOBS_PER_KILL, time.monotonic()
    driver, seen, progress_at, kill_at = _driver(directory, count, computer), 0, started, started
    while driver.poll() is None or not (directory / "answers.json").exists():
        if driver.poll() is not None:
            driver = _driver(directory, count, computer)
        time.sleep(0.2)
        if sum(trial.kills.values()) < kills and time.monotonic() >= kill_at:
            victim = _kill_one(rng, directory, driver, trial.kills)
            if victim:
                trial.kills[victim] += 1
                kill_at = math.inf
        done = _ends(directory)
        if done > seen:
            seen, progress_at = done, time.monotonic()
            kill_at = progress_at + rng.uniform(*PAUSE_SECONDS) if kill_at == math.inf else kill_at
            say(f"{seen} of {count} jobs, {sum(trial.kills.values())} kills")
        if time.monotonic() - progress_at > STALL_SECONDS:
            trial.stalled = True
            driver.kill()
            break
    trial.seconds = time.monotonic() - started
    return _judged(trial, directory, count)


def _judged(trial: Trial, directory: Path, count: int) -> Trial:
    path = directory / "answers.json"
    answers = json.loads(path.read_text()) if path.exists() else []
    trial.answered = sum(answer.get("value") == i for i, answer in enumerate(answers))
    trial.lost = count - trial.answered
    ends = [len(list((directory / "marks" / str(i)).glob("end-*"))) for i in range(count)]
    trial.executed_twice = sum(number > 1 for number in ends)
    return trial


def _ends(directory: Path) -> int:
    return len(list(directory.glob("marks/*/end-*")))


def _driver(directory: Path, count: int, computer: str) -> "subprocess.Popen[bytes]":
    with (directory / "driver.log").open("ab") as log:
        command = [sys.executable, "-m", "benchmarks.faults", "--drive", str(directory), "--jobs", str(count)]
        return subprocess.Popen([*command, "--computer", computer], stdout=log, stderr=log)


def _kill_one(
    rng: random.Random, directory: Path, driver: "subprocess.Popen[bytes]", kills: Counter[str]
) -> str | None:
    """Kill something that is alive, of a kind that was killed least so far: jobs are alive for seconds only."""
    groups = _victims(directory, driver)
    if not groups:
        return None
    least = min(kills[name] for name in groups)
    name = rng.choice(sorted(name for name in groups if kills[name] == least))
    with contextlib.suppress(psutil.NoSuchProcess):
        rng.choice(groups[name]).send_signal(signal.SIGKILL)
        return name
    return None


def _victims(directory: Path, driver: "subprocess.Popen[bytes]") -> dict[str, list[psutil.Process]]:
    """Return the living processes of this trial by kind."""
    found: dict[str, list[psutil.Process]] = {}
    if driver.poll() is None:
        found["driver"] = [psutil.Process(driver.pid)]
    for process in psutil.process_iter(["cmdline", "name", "cwd"]):
        name = _kind(process, str(directory))
        if name:
            found.setdefault(name, []).append(process)
    workers = found.get("worker", [])
    with contextlib.suppress(psutil.NoSuchProcess):
        masters = {parent for worker in workers if (parent := worker.parent()) and parent.name() == "circusd"}
        found |= {"circus": list(masters)} if masters else {}
    return found


def _kind(process: psutil.Process, directory: str) -> str | None:
    line, place = " ".join(process.info["cmdline"] or ()), process.info["cwd"] or ""
    if "physics.queue.bridge" in line and directory in line:
        return "bridge"
    if "physics.queue.run_job" in line and place.startswith(directory):
        return "job"
    with contextlib.suppress(psutil.Error):
        if "daemon" in line and process.environ().get("AIIDA_PATH", "").startswith(directory):
            return "broker" if "broker" in line else "worker" if "worker" in line else None
    return None


def main() -> int:
    """Run a trial, or be its driver."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults")
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--computer", choices=["local", "slurm"], default="local")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--drive", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.drive:
        return drive(options.drive, options.jobs, options.computer)
    folder = Path(tempfile.mkdtemp(prefix="mfal-faults-"))
    trial = torment(folder, options.kills, options.computer, options.seed, print)
    print(trial)
    if trial.lost or trial.executed_twice or trial.stalled:
        print(f"everything is kept in {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
