"""``mfal ask``: what the laboratory should measure next."""

import argparse
from pathlib import Path


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "ask", help="write the batch that waits for the laboratory, as JSON and CSV",
        description="Let the campaign go on as far as it can without a person, then write what waits for the "
        "laboratory and a form for the results. Asking again gives the same batch until something is told.",
    )  # fmt: skip
    parser.add_argument("directory", type=Path, help="of the campaign")
    parser.add_argument("--start", type=Path, metavar="FILE", help="begin the campaign of this file in the directory")
    parser.add_argument("--fast", action="store_true", help="with --start: apply the file's [fast] table")
    parser.add_argument("--output", type=Path, metavar="FOLDER", help="for the files (default: DIRECTORY/laboratory)")
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Write the files and print a line a query; 1 where a composition was refused."""
    from mfal.campaign.config import load
    from mfal.laboratory.ask import FOLDER, ask, begin, write_batch
    from mfal.laboratory.standing import standing

    if options.start is not None:
        begin(load(options.start, options.fast), options.directory)
    batch = ask(options.directory)
    for query in batch.queries:
        what, price = query.formula or query.candidate, f"EUR {query.price_eur:,.2f}"
        print(f"{query.id}  {what}  {price}  due {query.due}  {query.reason}")
    for refused in batch.refused:
        print(f"{refused.id}  refused: {refused.reason}; decide with: mfal review {options.directory}")
    if batch.state == "running":
        print("another process is running the campaign and decides; this is what waits at present")
    if batch.stopped is not None:
        print(f"stopped: {batch.stopped}")
    unlearnt = standing(options.directory).unlearnt
    if unlearnt:
        print(f'{unlearnt} results are told and not learnt from: clock = "declared" takes those due together at once')
    files = write_batch(batch, options.output or options.directory / FOLDER)
    print(f"batch {batch.batch} of {len(batch.queries)}: {files.json}, {files.csv}")
    if batch.queries:
        print(f"fill in {files.form}, then: mfal tell {options.directory} {files.form}")
    return int(bool(batch.refused))
