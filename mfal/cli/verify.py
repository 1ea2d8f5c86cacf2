"""``mfal verify``: is the ledger what was written, and does it lead to the recorded decisions?"""

import argparse
from pathlib import Path

_SEALS = {
    "matches": "the seal matches every byte of the file",
    "older": "the seal is older than the last events (running, or killed): events are checked, spare bytes are not",
    "absent": "there is no seal: events are checked, a cut end would not be noticed",
}


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("verify", help="check a ledger: every byte, and with --replay every decision")
    parser.add_argument("directory", type=Path)
    parser.add_argument("--replay", action="store_true", help="compute every decision again and compare bit for bit")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Check chains and seals, and that a campaign and its laboratory tell the same; replay on request."""
    from mfal.laboratory.agreement import check_agreement
    from mfal.laboratory.told import LABORATORY
    from mfal.ledger import read_events, verify

    found = verify(options.directory / "ledger.sqlite")
    print(f"{found.events} events, head {found.head_hash[:16]}: chain intact; {_SEALS[found.sealed]}")
    if (options.directory / LABORATORY).exists():
        told = verify(options.directory / LABORATORY)
        print(f"laboratory: {told.events} events, head {told.head_hash[:16]}: chain intact; {_SEALS[told.sealed]}")
    learnt = check_agreement(options.directory)
    if learnt:
        print(f"{learnt} results of the laboratory were learnt from as they were told")
    if options.replay:
        from mfal.campaign.build import recorded_rules
        from mfal.campaign.history import fold

        events = read_events(options.directory)
        progress = fold(recorded_rules(events[0].payload)[1], events, check=True)
        print(f"{progress.decisions} decisions recomputed from the events: equal bit for bit")
    return 0
