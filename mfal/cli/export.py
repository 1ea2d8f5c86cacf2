"""``mfal export``: what a campaign has paid for, in the formats of other programs."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfal.exporting import ExportReport, ExportRequest

# Missing calculations that are printed one by one.
_SHOWN = 5
_FORMATS = """\
formats:
  csv, parquet  a row an observation: value, price, failure, hashes of its event and calculations, details as JSON;
                read hashes and names of a CSV file as text, since some look like numbers
  emmet         a validated emmet-core document a calculation, failed ones included; .json, or .jsonl a line each
  optimade      the structures of the calculations as an OPTIMADE response, .json
  ase           an ASE database, .db: a row an observation that has a structure, and one a reference calculation
  aiida         what AiiDA knows of the DFT jobs ([dft.queue] engine = "aiida"), an archive, .aiida, for
                verdi archive import; its nodes are the "node" of an observation's details

Every row, document and structure names the ledger's event that it comes from by its hash. Calculations that cannot be
found are left out, named and counted; a campaign may be exported while it is running.
"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "export", help="write observations and calculations for other programs", epilog=_FORMATS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("directory", type=Path, help="of the campaign")
    parser.add_argument("--to", required=True, metavar="FORMAT", help="aiida, ase, csv, emmet, optimade or parquet")
    parser.add_argument("--output", type=Path, required=True, help="the file to be written")
    parser.add_argument("--force", action="store_true", help="replace the file if it is there already")
    parser.add_argument("--cache", type=Path, help="folder of finished calculations (default: the campaign's)")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Write the file and say what is in it and what is not."""
    from mfal.exporting import export, read_request
    from mfal.oracle import load_plugin

    exporter = load_plugin("mfal.exports", options.to)
    request = read_request(options.directory, options.output, options.cache)
    _say(export(exporter, request, options.force), request)
    return 0


def _say(report: "ExportReport", request: "ExportRequest") -> None:
    for name, reason in report.missing[:_SHOWN]:
        print(f"- calculation {name}: {reason}")
    if len(report.missing) > _SHOWN:
        print(f"- and {len(report.missing) - _SHOWN} more")
    parts = [f"{_count(report.written, report.noun)} of {_count(len(request.entries), 'observations')}"]
    if report.left_out:
        parts.append(f"{_count(report.left_out, 'observations')} left out, for which this format has no place")
    if report.missing:
        missing = _count(len(report.missing), "calculations")
        parts.append(f"{missing} missing in {report.source or f'{request.cache} (--cache names another folder)'}")
    print(f"{'; '.join(parts)}: {request.output}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun if number != 1 else noun.removesuffix('s')}"
