"""``mfal tell``: results from the laboratory."""

import argparse
from pathlib import Path

_COLUMNS = """\
CSV needs the columns schema_version (mfal.results/1), id, value, unit, uncertainty and failure, and may have price_eur,
measured_on (YYYY-MM-DD), correction (why an earlier result is replaced), step_NAME (true or false) and x_ANYTHING,
which is kept as text. JSON: {"schema_version": "mfal.results/1", "results": [{"id": ..., "value": ..., "unit": ...,
"uncertainty": ..., "failure": ..., "steps": {"NAME": true}, "extra": {"ANYTHING": "text"}}]}.
"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "tell", help="take in results of the laboratory from CSV or JSON", epilog=_COLUMNS,
        description="A file is taken in as a whole or refused as a whole. Telling it again changes nothing.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("directory", type=Path, help="of the campaign")
    parser.add_argument("file", type=Path, help="results.csv or results.json")
    parser.add_argument("--dry-run", action="store_true", help="check only, record nothing")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Record the results and say what became of them."""
    from mfal.errors import ResultsRefusedError
    from mfal.laboratory.tell import format_of, tell

    form = format_of(options.file)
    try:
        content = options.file.read_bytes()
    except OSError as error:
        raise ResultsRefusedError(
            f"{options.file} cannot be read ({error.strerror}); name a file of results"
        ) from error
    receipt = tell(options.directory, content, form, options.file.name, options.dry_run)
    for note in receipt.notes:
        print(note)
    figures = (
        f"{len(receipt.results)} results, {len(receipt.corrections)} corrections, {len(receipt.repeated)} repeated"
    )
    if options.dry_run:
        print(f"{options.file} would be accepted: {figures}; nothing was recorded")
    elif receipt.recorded:
        print(f"recorded {figures}; the campaign learns from them with: mfal ask {options.directory}")
    else:
        print(f"nothing new: {figures}; nothing was recorded")
    return 0
