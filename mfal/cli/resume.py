"""``mfal resume``: continue a campaign that was interrupted."""

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("resume", help="continue a campaign; nothing is paid twice")
    parser.add_argument("directory", type=Path)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Rebuild the state from the ledger and go on."""
    from mfal.campaign.loop import Campaign
    from mfal.cli.live import drive

    return drive(lambda: Campaign.resume(options.directory), options.directory)
