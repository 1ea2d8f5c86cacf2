"""The command line: one file a command; nothing heavy is imported before a command needs it."""

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points

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
    """Run one command; return its exit status: 0 done, 1 refused, 130 interrupted (resumable).

    Other packages add commands by the entry point ``mfal.commands``: a module with `add_to` as the modules here have.
    """
    from mfal.errors import MfalError

    parser = argparse.ArgumentParser(
        prog="mfal", description="Decide where the next euro goes: MLIP, DFT or experiment."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for module in _COMMANDS:
        module.add_to(commands)
    asked = list(sys.argv[1:] if arguments is None else arguments)
    if not asked or asked[0] not in commands.choices:
        _add_others(commands)
    options = parser.parse_args(asked)
    keep_compiled()
    try:
        return options.command(options)
    except MfalError as error:
        print(f"mfal: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("mfal: interrupted before anything was decided", file=sys.stderr)
        return 130


def _add_others(commands: argparse._SubParsersAction) -> None:
    """Register the commands of other packages; what cannot be loaded is named, and the others work."""
    for point in sorted(entry_points(group="mfal.commands")):
        if point.name in commands.choices:
            print(f"mfal: {point.value} may not replace the command {point.name}; rename it there", file=sys.stderr)
            continue
        try:
            point.load().add_to(commands)
        except ImportError as error:
            print(f"mfal: the command {point.name} of {point.value} cannot be loaded: {error}", file=sys.stderr)
