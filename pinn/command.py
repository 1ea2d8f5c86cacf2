"""``mfal infer``: parameters of a phase-field model from images."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pinn.errors import DataRefusedError, InferenceError, refuse_file

if TYPE_CHECKING:
    import numpy as np

    from pinn.advisor import Situation
    from pinn.images.reading import Told
    from pinn.phase_field.models import Camera, Model
    from pinn.report.record import Inference
    from pinn.series import ImageSeries

_EXAMPLES = """\
examples:
  mfal infer scene.tif --model allen-cahn --pixel-size 0.2um --frame-time 2s --out scene
  mfal infer scene.h5 --model allen-cahn --pixel-size 5nm --driving-force "2.0 +- 0.1 MJ/m^3" --out scene

Images alone give M kappa, M W and with them the width of the interface; a driving force or an interface energy from
elsewhere gives mobility, gradient energy and well height one by one. Formats: TIFF, NPZ, HDF5, Zarr and, with
rosettasciio, those of microscopes. Give intensities: a segmentation is refused.

Exit status: 0 with every check passed, 1 where the images are refused or a check failed.
"""


def add_to(commands: argparse._SubParsersAction) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "infer", help="phase-field parameters, with their uncertainty, from an image series", epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("images", type=Path, metavar="IMAGES", help="TIFF, NPZ, HDF5, Zarr or a microscope's file")
    parser.add_argument("--model", required=True, choices=("allen-cahn", "cahn-hilliard"))
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the page, the figures, the fields")
    _add_file_options(parser.add_argument_group("the file"))
    _add_scene_options(parser.add_argument_group("the scene"))
    _add_camera_options(parser.add_argument_group("the camera; what is not told is fitted"))
    parser.add_argument(
        "--backend", choices=("solver", "field", "pinn"), default="solver",
        help="way to the most probable parameters (default: solver, which is fastest)",
    )  # fmt: skip
    parser.set_defaults(command=command)


def _add_file_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--pixel-size", metavar="LENGTH", help="edge of a pixel, such as 0.2um")
    group.add_argument("--frame-time", metavar="TIME", help="between frames, such as 2s")
    group.add_argument("--time-unit", default="", metavar="UNIT", help="of times in the file that have none, such as s")
    group.add_argument("--in-pixels", action="store_true", help="neither is known: rates in pixels and frames")
    group.add_argument("--axes", metavar="LETTERS", help="such as TYX, where the file does not say")
    group.add_argument("--dataset", metavar="NAME", help="of the images, where the file has several")


def _add_scene_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--edge", choices=("open", "periodic", "no-flux"), default="open",
        help="beyond the images: more of the scene (default), the same again, or a wall",
    )  # fmt: skip
    group.add_argument("--driven", action="store_true", help="a driving force acts, of unknown size (allen-cahn)")
    group.add_argument("--driving-force", metavar="ENERGY", help='known, such as "2.0 +- 0.1 MJ/m^3"; allen-cahn')
    group.add_argument("--interface-energy", metavar="ENERGY", help='known, such as "0.30 +- 0.02 J/m^2"')
    group.add_argument("--initial", type=Path, metavar="NPY", help="order parameter at the first time, if it is known")


def _add_camera_options(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--blur", type=float, metavar="PIXELS", help="standard deviation of the point-spread function")
    group.add_argument("--noise", type=float, metavar="INTENSITY", help="standard deviation of a pixel")
    group.add_argument("--dark", type=float, metavar="INTENSITY", help="of the dark phase")
    group.add_argument("--contrast", type=float, metavar="INTENSITY", help="of the bright phase over the dark one")


def command(options: argparse.Namespace) -> int:
    """Fit, print quantities, ridge and checks, write page and figures; 1 where anything is not to be trusted."""
    try:
        inference = _infer(options)
        _write(inference, options.out)
    except InferenceError as error:
        print(f"mfal: {error}", file=sys.stderr)
        return 1
    return 0 if inference.estimate.trusted else 1


def _infer(options: argparse.Namespace) -> "Inference":
    from dataclasses import replace

    from rich.console import Console

    from pinn.images.reading import read_images
    from pinn.phase_field.fit import foretold
    from pinn.phase_field.refusals import refuse_setting
    from pinn.report.say import progress_of_fit, say, say_foretold

    # What is cheap to refuse is refused before the images are read.
    told, model, camera, initial = _told(options), _model(options), _camera(options), _initial(options.initial)
    refuse_setting(model, camera, initial)
    refuse_file(options.out)
    series = read_images(options.images, told)
    console = Console()
    hope = foretold(series, model, camera, initial)
    say_foretold(hope, console)
    with progress_of_fit(console) as progress:
        progress.add_task(f"fitting {len(series.times)} frames, back end: {options.backend}")
        inference = replace(_fitted(options, series, model, camera, initial), foretold=hope)
    say(inference, console)
    return inference


def _fitted(
    options: argparse.Namespace,
    series: "ImageSeries",
    model: "Model",
    camera: "Camera",
    initial: "np.ndarray | None",
) -> "Inference":
    from dataclasses import replace

    from pinn.advisor import situation_of
    from pinn.phase_field.fit import fit
    from pinn.phase_field.plausibility import plausible
    from pinn.report.record import Inference

    estimate = fit(series, model, camera, initial=initial, backend=options.backend)
    estimate = replace(estimate, checks=(*estimate.checks, *plausible(series, model, estimate)))
    advice = _advice(options.backend, situation_of(series, model, camera, initial))
    return Inference(options.images, series, model, estimate, advice)


def _advice(backend: str, situation: "Situation") -> str:
    """Return which back end would have been better, or that none is good; empty where this one was advised."""
    from pinn.advisor import advise

    advice = advise(situation)
    if advice.backend == backend:
        return ""
    better = "none can be trusted" if advice.backend == "none" else f"{advice.backend} rather than {backend}"
    return f"{better}: {'; '.join(advice.reasons)}"


def _write(inference: "Inference", folder: Path) -> None:
    from pinn.report.page import write_page
    from pinn.report.record import write_record

    folder.mkdir(parents=True, exist_ok=True)
    print(f"figures: {write_record(inference, folder / 'inference.json')}")
    print(f"page: {write_page(inference, folder / 'inference.html')}")


def _told(options: argparse.Namespace) -> "Told":
    from pinn.amounts import duration, known_unit, length
    from pinn.images.reading import Told
    from pinn.units import SECONDS

    if options.time_unit and known_unit(options.time_unit, SECONDS) is None:
        raise DataRefusedError(f"--time-unit {options.time_unit!r} is none of {', '.join(SECONDS)}")
    size = length(options.pixel_size, "--pixel-size") if options.pixel_size else None
    frame_time = duration(options.frame_time, "--frame-time") if options.frame_time else None
    return Told(options.axes, options.dataset, size, frame_time, options.time_unit, options.in_pixels)


def _model(options: argparse.Namespace) -> "Model":
    from pinn.amounts import energy_density, interface_energy
    from pinn.phase_field.models import AllenCahn, CahnHilliard

    sigma = interface_energy(options.interface_energy, "--interface-energy") if options.interface_energy else None
    force = energy_density(options.driving_force, "--driving-force") if options.driving_force else None
    if (sigma or force) and options.in_pixels:
        raise DataRefusedError("an energy gives no scale --in-pixels; give --pixel-size and --frame-time")
    if options.model == "allen-cahn":
        return AllenCahn(options.edge, options.driven, force, sigma)
    if force is not None or options.driven:
        raise DataRefusedError("no driving force acts in cahn-hilliard, which conserves; leave it out")
    return CahnHilliard(options.edge, sigma)


def _camera(options: argparse.Namespace) -> "Camera":
    from pinn.phase_field.models import Camera

    return Camera(gain=options.contrast, offset=options.dark, blur_px=options.blur, noise_sd=options.noise)


def _initial(path: Path | None) -> "np.ndarray | None":
    import numpy as np

    if path is None:
        return None
    try:
        return np.load(path, allow_pickle=False).astype(float)
    except (OSError, ValueError, EOFError, AttributeError) as error:
        raise DataRefusedError(f"--initial {path} is no .npy file of numbers: {error}") from error
