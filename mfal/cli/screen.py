"""``mfal screen``: energies, forces, minima and hulls of thousands of structures by a machine-learned potential."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mfal.screening import ScreenReport, ScreenRequest

# Failures that are printed; the table holds all of them.
_SHOWN = 10
_INTERRUPTED = 130
_CONVENTION = """\
The hull is of energies by the same model, uncorrected: of the structures screened, of the references, and of the ground
state of every element among them. Elements are relaxed by the model in any case; structures and references with --relax
only. What did not converge has no energy above the hull.

Structures that cannot be read or answered have a row that says why; the exit status is 0 once all have been dealt with,
1 if nothing could be begun or written, 130 if interrupted. The same command goes on where an earlier one ended.
"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "screen", help="answer thousands of structures with a machine-learned potential", epilog=_CONVENTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "structures", type=Path, nargs="+",
        help="files or folders: CIF, POSCAR, extended XYZ, ASE database, pymatgen or OPTIMADE JSON",
    )  # fmt: skip
    parser.add_argument("--model", default="chgnet", help="chgnet (default), mace, or ase for any ASE calculator")
    parser.add_argument(
        "--weights",
        help="chgnet: 0.3.0 (default), 0.2.0 or r2scan; mace: a checkpoint or a name of MACE-MP; "
             "ase: module:function that returns a calculator",
    )  # fmt: skip
    parser.add_argument("--relax", action="store_true", help="relax positions and cell first")
    parser.add_argument("--fmax", type=float, help="where a relaxation ends, eV/angstrom (default: 0.05)")
    parser.add_argument("--max-steps", type=int, help="of a relaxation (default: 500)")
    parser.add_argument("--hull", action="store_true", help="energies above the hull and decompositions, see below")
    parser.add_argument("--references", type=Path, nargs="+", default=[], help="further phases of the hull")
    parser.add_argument(
        "--table", type=Path, default=Path("screen.csv"),
        help="CSV or .parquet; what it holds already is not computed again (default: screen.csv)",
    )  # fmt: skip
    parser.add_argument(
        "--structures-out", type=Path,
        help="extended XYZ of the structures with their answers (default: with --relax the table's name, .extxyz)",
    )  # fmt: skip
    parser.set_defaults(command=command)


def command(options: argparse.Namespace) -> int:
    """Screen under a progress display; failures are listed and do not stop the rest."""
    from mfal.oracle import load_plugin

    screen, request, start = load_plugin("mfal.screens", options.model), _request(options), time.perf_counter()
    try:
        report = _watched(lambda watch: screen(request, watch))
    except KeyboardInterrupt:
        print("mfal: interrupted; all rows so far are kept: the same command goes on from there", file=sys.stderr)
        return _INTERRUPTED
    _say(report, request, time.perf_counter() - start)
    return 0


def _request(options: argparse.Namespace) -> "ScreenRequest":
    from mfal.errors import ScreeningError
    from mfal.screening import ScreenRequest

    limits = {"fmax_ev_per_a": options.fmax, "max_steps": options.max_steps}
    given = {name: value for name, value in limits.items() if value is not None}
    if given and not (options.relax or options.hull):
        raise ScreeningError("--fmax and --max-steps end relaxations: give --relax or --hull as well")
    return ScreenRequest(
        places=tuple(options.structures),
        table=options.table,
        weights=options.weights,
        relaxes=options.relax,
        has_hull=options.hull,
        references=tuple(options.references),
        structures_out=options.structures_out or (options.table.with_suffix(".extxyz") if options.relax else None),
        **given,
    )


def _watched(screen: Callable[[Callable[[int], None]], "ScreenReport"]) -> "ScreenReport":
    from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    speed = TextColumn("{task.fields[speed]}")
    with Progress(SpinnerColumn(), TextColumn("structures"), MofNCompleteColumn(), speed, TimeElapsedColumn(),
                  transient=True) as bar:  # fmt: skip
        task = bar.add_task("structures", total=None, speed="")

        def watch(done: int) -> None:
            per_second = bar.tasks[0].speed
            bar.update(task, completed=done, speed=f"{per_second:.1f}/s" if per_second else "")

        return screen(watch)


def _say(report: "ScreenReport", request: "ScreenRequest", seconds: float) -> None:
    for name, reason in report.failures[:_SHOWN]:
        print(f"- {name}: {reason}")
    if len(report.failures) > _SHOWN:
        print(f"- and {len(report.failures) - _SHOWN} more; the table names them all")
    relaxed = f" ({report.converged} converged, {report.answered - report.converged} not)" if request.relaxes else ""
    speed = f"{(report.answered + len(report.failures)) / seconds:.3g} structures/s"
    left = f"{len(report.failures)} failed, {report.before} there before, {speed}"
    print(f"{report.answered} structures answered{relaxed}, {left}: {request.table}")
    if report.hull:
        print(report.hull)
    if request.structures_out is not None:
        print(f"structures: {request.structures_out}")
