"""``mfal status``: where a campaign stands, without disturbing it."""

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("status", help="show where a campaign stands")
    parser.add_argument("directory", type=Path)
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Print the tables of fidelities, of what has been measured, and of what the sources are worth if that is known."""
    from rich.console import Console

    from mfal.cli.tables import fidelity_table, measured_table, source_table, verdict
    from mfal.report.judgement import kept
    from mfal.report.reading import read_campaign

    reading = read_campaign(options.directory)
    judgement = kept(reading.head, options.directory)
    console = Console()
    console.print(fidelity_table(reading.summary))
    console.print(measured_table(reading.summary))
    if judgement is not None and judgement.sources:
        console.print(source_table(judgement))
    console.print(verdict(reading.summary, judgement))
    if judgement is None:
        console.print(f"what the sources are worth is judged by: mfal report {options.directory}")
    if reading.summary.stopped is None:
        console.print(_next(options.directory))
    return 0


def _next(directory: Path) -> str:
    from mfal.laboratory.standing import standing

    waiting = standing(directory).waiting
    if waiting:
        return f"not finished; {waiting} queries wait for the laboratory, see: mfal ask {directory}"
    return f"not finished; continue with: mfal resume {directory}"
