"""``mfal report``: write the campaign's page."""

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("report", help="write report.html of a campaign")
    parser.add_argument("directory", type=Path)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Write ``report.html`` into the campaign's directory."""
    from mfal.report.page import write_page
    from mfal.report.reading import read_campaign

    print(f"wrote {write_page(read_campaign(options.directory), options.directory / 'report.html')}")
    return 0
