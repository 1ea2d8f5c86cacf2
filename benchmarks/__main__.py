"""Run one benchmark: a table for people and, with ``--json``, one JSON object as the last line."""

import argparse
import json
import sys
import time
from importlib import import_module

from rich.console import Console
from rich.table import Table

from benchmarks.record import UnavailableError, context

NAMES = ("constraints", "decisions", "dft_queue", "first_campaign", "inverse", "laboratory", "screening", "whatif")


def main() -> int:
    """Run the named benchmark and print what it measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--smoke", action="store_true", help="the short form, for checking that it runs")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    options = parser.parse_args()
    # Before the run: what is edited meanwhile was not measured.
    result: dict[str, object] = {"benchmark": options.name, "smoke": options.smoke, **context()}
    started = time.perf_counter()
    try:
        result |= import_module(f"benchmarks.{options.name}").measure(options.smoke)
    except UnavailableError as missing:
        print(missing, file=sys.stderr)
        return 2
    result["seconds"] = round(time.perf_counter() - started, 1)
    table = Table("figure", "value", title=options.name)
    for name, value in result.items():
        table.add_row(name, str(value))
    Console().print(table)
    if options.json:
        print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
