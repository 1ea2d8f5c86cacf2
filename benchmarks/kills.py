"""Kill a campaign again and again, resume it each time, and compare what was paid."""

import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mfal.ledger import EventKind, read_events

MFAL = [sys.executable, "-m", "mfal.cli"]


@dataclass(frozen=True)
class Paid:
    """What a finished campaign paid for: query keys in order, and the sum in EUR."""

    keys: tuple[str, ...]
    eur: float


def run_uninterrupted(arguments: list[str], directory: Path) -> Paid:
    """Run a campaign from start to end."""
    subprocess.run([*MFAL, "run", *arguments, "--directory", str(directory)], check=True, stdout=subprocess.DEVNULL)
    return paid(directory)


def run_with_kills(arguments: list[str], directory: Path, kills: int, longest_s: float, seed: int) -> tuple[Paid, int]:
    """Run a campaign, ``kill -9`` it at random moments, resume it to the end.

    Every other kill takes the calculations in progress down with it; the others leave them to finish as orphans.

    Returns:
        What was paid, and how many kills met a running campaign.
    """
    moments, survived = random.Random(seed), 0
    for number in range(kills):
        started = (directory / "ledger.sqlite").exists()
        command = ["resume", str(directory)] if started else ["run", *arguments, "--directory", str(directory)]
        process = subprocess.Popen([*MFAL, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            process.wait(timeout=moments.uniform(1.0, longest_s))
            break
        except subprocess.TimeoutExpired:
            _kill(process.pid, with_children=number % 2 == 0)
            process.wait()
            survived += 1
    subprocess.run([*MFAL, "resume", str(directory)], check=True, stdout=subprocess.DEVNULL)
    return paid(directory), survived


def paid(directory: Path) -> Paid:
    """Read what was paid off a ledger."""
    payloads = [event.payload for event in read_events(directory) if event.kind == EventKind.OBSERVATION]
    return Paid(tuple(p["key"] for p in payloads), sum(p["price_eur"] for p in payloads))


def _kill(pid: int, with_children: bool) -> None:
    children = _children(pid) if with_children else []
    os.kill(pid, signal.SIGKILL)
    for child in children:
        try:
            os.kill(child, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]
