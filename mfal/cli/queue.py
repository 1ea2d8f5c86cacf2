"""``mfal queue``: start, stop, watch and mend the job queue of a campaign."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfal.queueing import QueueService


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("queue", help="start, stop, watch or examine the job queue of a campaign")
    parser.add_argument("what", choices=["start", "stop", "status", "doctor"])
    parser.add_argument("directory", type=Path, help="of the campaign")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Do it, and say what is the case; return 1 where something is wrong."""
    from mfal.campaign.config import CampaignConfig
    from mfal.campaign.record import campaign_events
    from mfal.oracle import load_plugin

    config = CampaignConfig.model_validate(campaign_events(options.directory)[0].payload["config"])
    engine = config.dft.queue.engine
    if engine == "local":
        print("engine = 'local': worker processes of the campaign itself, nothing to start or stop")
        return 0
    service: QueueService = load_plugin("mfal.queues", engine)(options.directory, config.dft.queue.model_dump())
    return _DO[options.what](service)


def _start(service: "QueueService") -> int:
    service.start()
    return _status(service)


def _stop(service: "QueueService") -> int:
    service.stop()
    return _status(service)


def _status(service: "QueueService") -> int:
    found = service.status()
    batches = ", ".join(f"{number} {state}" for state, number in found.batches.items()) or "none yet"
    print(f"daemon {'runs' if found.runs else 'does not run'}, {found.workers} workers; batches: {batches}")
    return 0


def _doctor(service: "QueueService") -> int:
    checks = service.doctor()
    for check in checks:
        print(f"{'wrong' if check.problem else 'fine '}  {check.name}{': ' if check.problem else ''}{check.problem}")
    return int(any(check.problem for check in checks))


_DO = {"start": _start, "stop": _stop, "status": _status, "doctor": _doctor}
