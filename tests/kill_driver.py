"""The kill test: a campaign that is killed again and again must pay and decide just what an undisturbed one does.

``python -m tests.kill_driver DIRECTORY [laboratory]`` runs the synthetic campaign, or the short form of the simulated
laboratory's example, undisturbed and under ten kills, and prints one JSON object: ``kills_survived``, ``paid_twice``
and whether the two campaigns are the same.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

KILLS = 10
EXAMPLE = Path(__file__).parents[1] / "examples" / "laboratory.toml"
# Where each campaign's oracles note what they really work on.
WORKED = {"synthetic": "worked.jsonl", "laboratory": "laboratory/hardness.jsonl"}


def compare(directory: Path, kills: int = KILLS, seed: int = 0, kind: str = "synthetic") -> dict[str, Any]:
    """Run both campaigns below `directory` and compare what their ledgers say; `kind` is a key of `WORKED`."""
    calm, killed = directory / kind / "calm", directory / kind / "killed"
    _finish(calm)
    survived = _torment(killed, kills, random.Random(seed))
    _finish(killed)
    left, right = _account(calm), _account(killed)
    return {
        "kills_survived": survived,
        "resumes": right["resumes"],
        "paid_twice": right["paid_twice"],
        "worked_twice": right["worked_twice"],
        "queries": len(right["queries"]),
        **{
            f"same_{name}": left[name] == right[name]
            for name in ("queries", "decisions", "answers", "spent", "stopped", "worked")
        },
    }


def child(directory: Path) -> None:
    """Start or continue the campaign and run it to its end; print a line whenever something was recorded."""
    from mfal.campaign.config import load
    from mfal.campaign.loop import Campaign
    from mfal.campaign.record import LEDGER
    from tests import synthetic

    synthetic.register()
    config = load(EXAMPLE, fast=True) if _kind(directory) == "laboratory" else synthetic.in_background()
    there = (directory / LEDGER).exists()
    campaign = Campaign.resume(directory) if there else Campaign.start(config, directory)
    last = None

    def watch(running: Campaign) -> None:
        nonlocal last
        now = (running.progress.decisions, len(running.progress.observations))
        if now != last:
            last = now
            print(*now, flush=True)

    campaign.run(watch)
    campaign.close()


def _start(directory: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.kill_driver", "--child", str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _finish(directory: Path) -> None:
    process = _start(directory)
    process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the campaign in {directory} ended with {process.returncode=}")


def _torment(directory: Path, kills: int, rng: random.Random) -> int:
    """Kill as often as asked, each time after zero to two recorded steps and a random pause."""
    survived = 0
    for index in range(kills):
        process = _start(directory)
        steps, pause = (0, rng.uniform(0.2, 3.0)) if index == 0 else (rng.choice([1, 1, 2]), rng.uniform(0.0, 0.25))
        for _ in range(steps):
            if process.stdout is None or not process.stdout.readline():
                break
        time.sleep(pause)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        survived += process.returncode == -signal.SIGKILL
    return survived


def _account(directory: Path) -> dict[str, Any]:
    from mfal.ledger import EventKind, read_events, verify

    verify(directory / "ledger.sqlite")
    events = read_events(directory)
    payloads = {kind: [event.payload for event in events if event.kind == kind] for kind in EventKind}
    answers = payloads[EventKind.OBSERVATION]
    paid = Counter(answer["key"] for answer in answers)
    lines = (directory / WORKED[_kind(directory)]).read_text().splitlines()
    worked = Counter(json.dumps(json.loads(line)) for line in lines)
    return {
        "queries": [
            (q["fidelity"], q["candidate"]) for decision in payloads[EventKind.DECISION] for q in decision["queries"]
        ],
        "decisions": payloads[EventKind.DECISION],
        "answers": answers,
        "spent": sum(answer["price_eur"] for answer in answers),
        "stopped": payloads[EventKind.STOP],
        "resumes": len(payloads[EventKind.RESUME]),
        "paid_twice": sum(count - 1 for count in paid.values()),
        "worked": sorted(worked),
        "worked_twice": sum(count - 1 for count in worked.values()),
    }


def _kind(directory: Path) -> str:
    return directory.parent.name


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(Path(sys.argv[2]))
    else:
        print(json.dumps(compare(Path(sys.argv[1]), kind=(sys.argv[2:] or ["synthetic"])[0])))
