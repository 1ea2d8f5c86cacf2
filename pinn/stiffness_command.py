"""``mfal stiffness``: stiffness of the grains of a polycrystal from displacement fields."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pinn.errors import DataRefusedError, InferenceError, refuse_file

if TYPE_CHECKING:
    from rich.progress import Progress

    from pinn.report.stiffness_record import Window
    from pinn.stiffness.estimate import StiffnessEstimate
    from pinn.stiffness.reading import Told

_EXAMPLES = """\
the file: arrays of an .npz archive, or datasets at the root of an .h5 file
  grain_map      number of the grain of each cell, from 0 without gaps, shape (*cells); two or three axes
  displacements  (loads, axes, *points), one point more than cells along each axis: the corners of the cells;
                 component i is along axis i of grain_map (rows first); NaN where nothing was seen
  angles_deg     (grains,) of plane crystals, from axis 0 towards axis 1; or
  euler_deg      (grains, 3), Bunge's phi1, Phi, phi2; or
  rotations      (grains, d, d), crystal axes to axes of the map; none of them is needed for isotropic grains
  phases         optional, (grains,): grains of one phase share constants; without it each grain has its own
  forces         optional, one row a force: load, axis of the normal of the face, side (0 at the start of that axis,
                 1 at its end), component, value, standard deviation; or --forces TABLE, side near or far
  spacing        optional, edge of a cell, with length_unit beside; or --spacing

examples:
  mfal stiffness plate.npz --symmetry cubic --spacing 1um --forces f.csv --force-unit N --thickness 0.5mm --out plate
  mfal stiffness sheet.h5 --symmetry hexagonal --plane stress --one-material --spacing 20um --out sheet

Displacements alone give ratios of stiffness: all of it may be multiplied by one factor. One force on one face gives
the rest. Without --force-unit forces are in the unit of stiffness times that of length (1 GPa um = 1 N/mm) in the
plane, times its square in space.

Exit status: 0 with every check passed, 1 where the file is refused or a check failed.
"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "stiffness", help="stiffness of grains, with its uncertainty, from displacement fields", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("fields", type=Path, metavar="FIELDS", help=".npz or .h5 file with the arrays below")
    parser.add_argument("--symmetry", required=True, choices=("isotropic", "cubic", "hexagonal", "triclinic"))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the page, the figures, the fields")
    _add_window_options(parser.add_argument_group("the window"))
    _add_grain_options(parser.add_argument_group("the grains"))
    _add_force_options(parser.add_argument_group("the forces"))
    parser.add_argument(
        "--backend", choices=("solver", "field", "pinn"), default="solver",
        help="way to the most probable stiffness (default: solver, which is fastest; pinn: a network, then the solver)",
    )  # fmt: skip
    parser.set_defaults(command=command)


def _add_window_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--spacing", metavar="LENGTH", help="edge of a cell, such as 1um")
    group.add_argument(
        "--displacement-unit", metavar="UNIT", default="", help="of the displacements, such as nm, or cells; spacing's"
    )
    group.add_argument("--noise", type=float, metavar="SD", help="of a displacement, in its unit; else it is found")


def _add_grain_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--stiffness-unit", choices=("Pa", "kPa", "MPa", "GPa"), default="GPa")
    group.add_argument("--one-material", action="store_true", help="all grains share their constants")
    group.add_argument("--plane", choices=("strain", "stress"), default="", help="of crystals in space seen in a plane")
    group.add_argument(
        "--orientation-error", type=float, default=0.0, metavar="DEGREES", help="about each axis; then they are fitted"
    )


def _add_force_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--forces", type=Path, metavar="TABLE", help=".csv or .json: load,axis,side,component,value,sd")
    group.add_argument("--force-unit", choices=("N", "kN", "mN", "uN", "nN"), default="")
    group.add_argument("--thickness", metavar="LENGTH", help="of the plate whose forces are in --force-unit")
    group.add_argument(
        "--load-cell-error", type=float, default=0.0, metavar="FRACTION", help="that all forces share, such as 0.01"
    )


def command(options: argparse.Namespace) -> int:
    """Fit, print constants, effective stiffness and checks, write page and figures; 1 where not to be trusted."""
    try:
        window = _window(options)
        _write(window, options.out)
    except InferenceError as error:
        print(f"mfal: {error}", file=sys.stderr)
        return 1
    return 0 if window.estimate.trusted else 1


def _window(options: argparse.Namespace) -> "Window":
    from rich.console import Console

    from pinn.report.say import progress_of_fit
    from pinn.report.stiffness_record import Window
    from pinn.report.stiffness_say import say
    from pinn.stiffness.reading import read_window

    told = _told(options)
    refuse_file(options.out)
    fields, model = read_window(options.fields, told)
    console = Console()
    with progress_of_fit(console) as progress:
        estimate = _fitted(fields, model, options.backend, progress)
    window = Window(options.fields, fields, model, estimate)
    say(window, console)
    return window


def _fitted(fields, model, backend: str, progress: "Progress") -> "StiffnessEstimate":
    from dataclasses import replace

    from physics.elasticity.errors import ElasticityError
    from pinn.stiffness.fit import fit_stiffness
    from pinn.stiffness.plausibility import plausible

    doing = f"fitting {len(fields.loads)} loads, {len(model.rotations)} grains, back end: {backend}"
    task, objectives = progress.add_task(doing), []

    def tell(objective: float) -> None:
        objectives.append(objective)
        progress.update(task, description=f"{doing}; step {len(objectives)}, objective {objective:.6g}")

    try:
        estimate = fit_stiffness(fields, model, backend, tell)  # pyright: ignore[reportArgumentType]
    except ElasticityError as error:
        raise DataRefusedError(str(error)) from error
    return replace(estimate, checks=(*estimate.checks, *plausible(estimate)))


def _write(window: "Window", folder: Path) -> None:
    from pinn.report.stiffness_page import write_page
    from pinn.report.stiffness_record import write_record

    folder.mkdir(parents=True, exist_ok=True)
    print(f"figures: {write_record(window, folder / 'stiffness.json')}")
    print(f"page: {write_page(window, folder / 'stiffness.html')}")


def _told(options: argparse.Namespace) -> "Told":
    from pinn.amounts import length
    from pinn.stiffness.reading import Told

    return Told(
        options.symmetry,
        length(options.spacing, "--spacing") if options.spacing else None,
        options.displacement_unit,
        options.noise,
        options.stiffness_unit,
        options.plane,
        options.orientation_error,
        options.one_material,
        options.forces,
        options.force_unit,
        length(options.thickness, "--thickness") if options.thickness else None,
        options.load_cell_error,
    )
