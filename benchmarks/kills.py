"""Kill a campaign again and again, resume it each time, and compare what was paid."""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from mfal.campaign.record import LEDGER, recorded_observations
from mfal.ledger import EventKind, read_events

MFAL = [sys.executable, "-m", "mfal.cli"]
LONGEST_DELAY_S = 4.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Paid:
    """What a finished campaign paid for: query keys in order, and the sum in EUR."""

    keys: tuple[str, ...]
    eur: float


def run_uninterrupted(arguments: list[str], directory: Path) -> Paid:
    """Run a campaign from start to end."""
    subprocess.run([*MFAL, "run", *arguments, "--directory", str(directory)], check=True, stdout=subprocess.DEVNULL)
    return paid(directory)


def run_with_kills(arguments: list[str], directory: Path, kills: int, events: int, seed: int) -> tuple[Paid, int]:
    """Run a campaign, ``kill -9`` it at random moments, resume it to the end.

    A moment is a random number of events on the ledger and up to `LONGEST_DELAY_S` more, so that kills meet every phase
    of a campaign, however fast the machine is. Every other kill takes the calculations in progress down with it; the
    others leave them to finish as orphans.

    Args:
        arguments: of ``mfal run``.
        directory: of the campaign.
        kills: how many.
        events: that the undisturbed campaign writes.
        seed: of the moments.

    Returns:
        What was paid, and how many kills met a running campaign.
    """
    moments, survived = random.Random(seed), 0
    for number, reached in enumerate(sorted(moments.randrange(0, events - 1) for _ in range(kills))):
        started = _events(directory) > 0
        command = ["resume", str(directory)] if started else ["run", *arguments, "--directory", str(directory)]
        process = subprocess.Popen([*MFAL, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and _events(directory) < reached:
            time.sleep(_POLL_SECONDS)
        time.sleep(moments.uniform(0.0, LONGEST_DELAY_S))
        survived += process.poll() is None
        _kill(process.pid, with_children=number % 2 == 0)
        process.wait()
    subprocess.run([*MFAL, "resume", str(directory)], check=True, stdout=subprocess.DEVNULL)
    return paid(directory), survived


def count_events(directory: Path) -> int:
    """Return how many events a campaign wrote, without those that say that it was resumed."""
    return sum(event.kind != EventKind.RESUME for event in read_events(directory))


def paid(directory: Path) -> Paid:
    """Read what was paid off a ledger."""
    observations = recorded_observations(read_events(directory))
    return Paid(tuple(o.key for o in observations), sum(o.price_eur for o in observations))


def _events(directory: Path) -> int:
    return count_events(directory) if (directory / LEDGER).exists() else 0


def _kill(pid: int, with_children: bool) -> None:
    for victim in [pid, *(_children(pid) if with_children else [])]:
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in listed.stdout.split()]
