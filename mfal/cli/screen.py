"""``mfal screen``: energies, forces and stresses of thousands of structures by a machine-learned potential."""

import argparse
from pathlib import Path

# Failures that are printed; the table holds all of them.
_SHOWN = 10


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser("screen", help="answer thousands of structures with a machine-learned potential")
    parser.add_argument(
        "structures", type=Path, nargs="+",
        help="files or folders: CIF, POSCAR, extended XYZ, ASE database, pymatgen or OPTIMADE JSON",
    )  # fmt: skip
    parser.add_argument("--model", default="chgnet", help="registered in mfal.screens (default: chgnet)")
    parser.add_argument("--weights", help="of the model, such as r2scan (default: the model's own)")
    parser.add_argument(
        "--table", type=Path, default=Path("screen.csv"),
        help="where rows go; what it holds already is not computed again (default: screen.csv)",
    )  # fmt: skip
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Screen under a progress display; failures are listed and do not stop the rest."""
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    from mfal.oracle import load_plugin
    from mfal.screening import ScreenRequest

    screen = load_plugin("mfal.screens", options.model)
    request = ScreenRequest(tuple(options.structures), options.table, options.weights)
    speed = TextColumn("{task.fields[speed]}")
    with Progress(SpinnerColumn(), TextColumn("structures"), MofNCompleteColumn(), speed, TimeElapsedColumn(),
                  transient=True) as bar:  # fmt: skip
        task = bar.add_task("structures", total=None, speed="")

        def watch(done: int) -> None:
            per_second = bar.tasks[0].speed
            bar.update(task, completed=done, speed=f"{per_second:.1f}/s" if per_second else "")

        report = screen(request, watch)
    for name, reason in report.failures[:_SHOWN]:
        print(f"- {name}: {reason}")
    if len(report.failures) > _SHOWN:
        print(f"- and {len(report.failures) - _SHOWN} more; the table names them all")
    left = f"{len(report.failures)} not, {report.before} there before"
    print(f"{report.answered} structures answered, {left}: {options.table}")
    return 0
