"""``mfal status``: where a campaign stands, without disturbing it."""

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("status", help="show where a campaign stands")
    parser.add_argument("directory", type=Path)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Print the table of fidelities and of what has been measured."""
    from rich.console import Console

    from mfal.cli.tables import fidelity_table, measured_table, verdict
    from mfal.report.reading import read_campaign

    summary = read_campaign(options.directory).summary
    console = Console()
    console.print(fidelity_table(summary))
    console.print(measured_table(summary))
    console.print(verdict(summary))
    if summary.stopped is None:
        console.print(f"not finished; continue with: mfal resume {options.directory}")
    return 0
