"""``mfal run``: start a campaign and run it to its end."""

import argparse
from datetime import datetime
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("run", help="start a campaign from a campaign file")
    parser.add_argument("file", type=Path)
    parser.add_argument("--fast", action="store_true", help="the short form: apply the file's [fast] table")
    parser.add_argument("--directory", type=Path, help="where to keep the campaign (default: runs/NAME-DATE-TIME)")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Check the file, start the campaign, run it."""
    from mfal.campaign.config import load

    config = load(options.file, options.fast)
    directory = options.directory or Path("runs") / f"{options.file.stem}-{datetime.now():%Y%m%d-%H%M%S}"

    from mfal.campaign.loop import Campaign
    from mfal.cli.live import drive, say_started

    say_started(config, directory)
    return drive(lambda: Campaign.start(config, directory), directory)
