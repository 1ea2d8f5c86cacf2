"""CHGNet as published: one by one through ASE, in its own batches, and relaxed by ASE."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.record import UnavailableError
from benchmarks.screening.tasks import SETS, Counts, suffix
from benchmarks.timing import seconds_of, timed
from physics.mlip.potential import Prediction

if TYPE_CHECKING:
    from ase import Atoms

FMAX_EV_PER_A, MAX_STEPS = 0.05, 500


@dataclass(frozen=True)
class PeerRelaxation:
    """A relaxation by ASE.

    Attributes:
        seconds: it took.
        steps: evaluations of forces.
        energy_ev_per_atom: at the end.
        converged: within the steps.
    """

    seconds: float
    steps: int
    energy_ev_per_atom: float
    converged: bool


@contextmanager
def needing(package: str) -> Iterator[None]:
    """Say that a peer is missing where an import fails."""
    try:
        yield
    except ImportError as missing:
        raise UnavailableError(f"{package} is not installed or fails ({missing}): pip install .[peers]") from missing


def torch_device() -> str:
    """Return where the peers run."""
    with needing("torch"):
        import torch
    return "cuda" if torch.cuda.is_available() else "cpu"


def chgnet_one_by_one(counts: Counts) -> dict[str, Any]:
    """Return the time of a single point through ASE."""
    calculator = _calculator()
    structures = counts.draw("perovskites", counts.one_by_one)
    _single_point(structures[-1], calculator)  # the first one of a process loads libraries; ASE keeps its answer
    seconds = seconds_of(lambda: [_single_point(atoms, calculator) for atoms in structures])
    return {"ase_ms_per_single_point": 1e3 * seconds / len(structures)}


def chgnet_batches(counts: Counts) -> dict[str, Any]:
    """Return the time of a single point in CHGNet's own batches, the best of some sizes, for both sets."""
    model, figures = _model(), {}
    for name in SETS:
        structures = counts.draw(name, counts.batched)
        _graphs(model, structures[:1])
        convert, graphs = timed(lambda atoms=structures: _graphs(model, atoms))
        seconds = {size: _predicted_in(model, graphs, size) for size in counts.batch_sizes}
        figures |= batch_figures(name, len(structures), convert, seconds)
    return figures


def batch_figures(name: str, count: int, convert: float, seconds: dict[int, float | None]) -> dict[str, Any]:
    """Name the times of the best batch size; None stands for one that did not fit the memory."""
    known = {size: taken for size, taken in seconds.items() if taken is not None}
    if not known:
        return {}
    end, best = suffix(name), min(known, key=lambda size: known[size])
    return {
        f"chgnet_batch_ms_per_single_point{end}": 1e3 * (convert + known[best]) / count,
        f"chgnet_batch_ms_per_single_point_device{end}": 1e3 * known[best] / count,
        f"chgnet_batch_ms_per_conversion{end}": 1e3 * convert / count,
        f"chgnet_batch_size{end}": best,
    }


def chgnet_answers(counts: Counts) -> dict[str, list[Prediction]]:
    """Return CHGNet's answers to a sample of each set, embeddings and moments left out."""
    model, found = _model(), {}
    for name in SETS:
        graphs = _graphs(model, counts.draw(name, counts.batched))
        raw = model.predict_graph(graphs, task="efs", batch_size=counts.batch_sizes[0])
        found[name] = [Prediction(float(one["e"]), one["f"], one["s"]) for one in raw]
    return found


def ase_relaxations(counts: Counts) -> list[PeerRelaxation]:
    """Relax the first perovskites by ASE, and begin no further one when the time is up."""
    calculator, found = _calculator(), []
    structures = counts.draw("perovskites", counts.relaxed[0])
    _single_point(structures[-1], calculator)
    begin = time.perf_counter()
    for atoms in structures:
        found.append(_relaxed(atoms, calculator))
        if time.perf_counter() - begin > counts.relax_seconds:
            break
    return found


def _relaxed(atoms: "Atoms", calculator: Any) -> PeerRelaxation:
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    moving = atoms.copy()
    moving.calc = calculator
    movable: Any = FrechetCellFilter(moving)  # taken by every optimizer, although annotated otherwise
    optimizer = FIRE(movable, logfile=os.devnull)
    seconds, converged = timed(lambda: optimizer.run(fmax=FMAX_EV_PER_A, steps=MAX_STEPS))
    energy = float(moving.get_potential_energy()) / len(moving)
    return PeerRelaxation(seconds, optimizer.nsteps + 1, energy, bool(converged))


def _single_point(atoms: "Atoms", calculator: Any) -> None:
    copy = atoms.copy()
    copy.calc = calculator
    for read in (copy.get_potential_energy, copy.get_forces, copy.get_stress):
        read()


def _graphs(model: Any, structures: "Sequence[Atoms]") -> list[Any]:
    from pymatgen.io.ase import AseAtomsAdaptor

    adaptor: Any = AseAtomsAdaptor  # annotated with a class of its own
    return [model.graph_converter(adaptor.get_structure(atoms)) for atoms in structures]


def _predicted_in(model: Any, graphs: list[Any], size: int) -> float | None:
    """Return the time of all graphs in batches; None where a batch does not fit the GPU."""
    import torch

    try:
        model.predict_graph(graphs[:size], task="efs", batch_size=size)
        return seconds_of(lambda: model.predict_graph(graphs, task="efs", batch_size=size), 2)
    except torch.OutOfMemoryError:
        return None


def _model() -> Any:
    with needing("chgnet"):
        from chgnet.model.model import CHGNet
    return CHGNet.load(model_name="0.3.0", use_device=torch_device(), verbose=False)


def _calculator() -> Any:
    with needing("chgnet"):
        from chgnet.model.dynamics import CHGNetCalculator
    return CHGNetCalculator(_model(), use_device=torch_device(), on_isolated_atoms="ignore")
