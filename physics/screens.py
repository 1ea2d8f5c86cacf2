"""The entry points of `mfal screen`: a potential each."""

import importlib
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mfal.errors import ScreeningError
from mfal.oracle import need_package
from mfal.screening import ScreenReport, ScreenRequest
from physics.screening import rows
from physics.structures import read_structures, structure_files

if TYPE_CHECKING:
    from physics.mlip.potential import Potential
    from physics.screening.screen import PartSize, Screened, Task

Watch = Callable[[int], None]


def chgnet(request: ScreenRequest, watch: Watch) -> ScreenReport:
    """Screen with CHGNet; weights are 0.3.0 (PBE, the default), 0.2.0 or r2scan."""
    for package in ("ase", "pymatgen", "torch", "chgnet"):
        need_package(package, "mlip")
    import jax

    from physics.mlip.chgnet_potential import load_chgnet
    from physics.mlip.weights import UnknownWeightsError
    from physics.screening.screen import ON_CPU, ON_GPU

    try:
        potential = load_chgnet(request.weights or "0.3.0")
    except UnknownWeightsError as error:
        raise ScreeningError(f"--weights {request.weights}: {error}") from error
    part = ON_CPU if jax.default_backend() == "cpu" else ON_GPU.times(jax.local_device_count())
    return _screened(request, potential, part, watch)


def mace(request: ScreenRequest, watch: Watch) -> ScreenReport:
    """Screen with MACE; weights are a checkpoint's path or a name of MACE-MP, such as small, which is fetched."""
    need_package("ase", "mlip")
    need_package("mace", "mace")
    from physics.mlip.mace import UnknownHeadError, load_mace
    from physics.mlip.mace_checkpoint import CheckpointDownloadError, CheckpointError, UnknownCheckpointError
    from physics.screening.screen import ON_CPU, ON_GPU

    if request.weights is None:
        raise ScreeningError("MACE needs --weights: the path of a checkpoint, or a name of MACE-MP such as small")
    try:
        potential = load_mace(request.weights)
    except (CheckpointDownloadError, CheckpointError, UnknownCheckpointError, UnknownHeadError) as error:
        raise ScreeningError(f"--weights {request.weights}: {error}") from error
    return _screened(request, potential, ON_CPU if potential.model.r_max.device.type == "cpu" else ON_GPU, watch)


def ase(request: ScreenRequest, watch: Watch) -> ScreenReport:
    """Screen with any ASE calculator, one structure after the other; weights are ``module:function`` that makes it."""
    need_package("ase", "mlip")
    from physics.mlip.ase_calculator import AsePotential
    from physics.screening.screen import ONE_BY_ONE

    potential = AsePotential(_imported(request.weights or ""), f"ase {request.weights}")
    return _screened(request, potential, ONE_BY_ONE, watch)


def _imported(place: str) -> Callable[[], Any]:
    """Import a callable by its name; nothing else of the text is evaluated."""
    module, _, name = place.partition(":")
    example = "give module:function that returns a calculator, such as ase.calculators.emt:EMT"
    if not (module and name):
        raise ScreeningError(f"--weights {place!r} names no function: {example}")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, TypeError) as error:  # TypeError: a relative name
        raise ScreeningError(f"--weights {place}: {error}; {example}; its folder belongs on PYTHONPATH") from error
    if not callable(found):
        raise ScreeningError(f"--weights {place} is a {type(found).__name__}: {example}")
    return found


def _screened(request: ScreenRequest, potential: "Potential", part: "PartSize", watch: Watch) -> ScreenReport:
    from physics.screening.screen import screen
    from physics.thermodynamics.hull import HullError

    _check(request)
    try:
        found: Screened = screen(_task(request), potential, part, watch)
    except (rows.ScreeningError, HullError) as error:
        raise ScreeningError(str(error)) from error
    return ScreenReport(found.answered, found.converged, found.failures, found.before, found.hull)


def _task(request: ScreenRequest) -> "Task":
    from physics.mlip.potential import RelaxationSettings
    from physics.screening.screen import Task

    try:
        structures, references = (
            read_structures(structure_files(places, request.structures_out))
            for places in (request.places, request.references)
        )
    except (FileNotFoundError, ValueError) as error:
        raise ScreeningError(str(error)) from error
    return Task(
        structures=structures,
        relaxes=request.relaxes,
        settings=RelaxationSettings(request.fmax_ev_per_a, request.max_steps),
        references=references if request.has_hull else None,
        table=request.table,
        structures_out=request.structures_out,
    )


def _check(request: ScreenRequest) -> None:
    if not (math.isfinite(request.fmax_ev_per_a) and request.fmax_ev_per_a > 0):
        raise ScreeningError(f"--fmax {request.fmax_ev_per_a}: give a force above 0, in eV/angstrom")
    if request.max_steps < 1:
        raise ScreeningError(f"--max-steps {request.max_steps}: give at least 1")
    if request.references and not request.has_hull:
        raise ScreeningError("--references are phases of a hull: give --hull as well")
    if request.has_hull:
        need_package("pymatgen", "mlip")
    if request.table.suffix.lower() == ".parquet":
        need_package("pyarrow", "mlip")
