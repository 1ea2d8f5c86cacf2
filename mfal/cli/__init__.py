"""The command line: one file a command; nothing heavy is imported before a command needs it."""

import argparse
import sys
from collections.abc import Sequence

from mfal.cli import (
    ask,
    check,
    export,
    generate,
    init,
    queue,
    report,
    resume,
    review,
    run,
    screen,
    serve,
    status,
    tell,
    verify,
    whatif,
)
from mfal.cli.compiled import keep_compiled

_COMMANDS = (
    init, run, resume, status, report, whatif, ask, tell, serve, review, screen, check, generate, queue, export, verify,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status: 0 done, 1 refused, 130 interrupted (resumable)."""
    from mfal.errors import MfalError

    parser = argparse.ArgumentParser(
        prog="mfal", description="Decide where the next euro goes: MLIP, DFT or experiment."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_to(commands)
    options = parser.parse_args(arguments)
    keep_compiled()
    try:
        return options.command(options)
    except MfalError as error:
        print(f"mfal: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mfal: interrupted before anything was decided", file=sys.stderr)
        return 130
