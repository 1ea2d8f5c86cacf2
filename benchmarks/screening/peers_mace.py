"""MACE in the shape of MACE-MP small with random weights: through mace's own loader, and through torch-sim.

torch-sim has no CHGNet, so it is compared with what it does run.
"""

from typing import TYPE_CHECKING, Any

from benchmarks.screening.peers import needing, torch_device
from benchmarks.screening.tasks import Counts
from benchmarks.timing import seconds_of

if TYPE_CHECKING:
    from ase import Atoms


def mace_batched(counts: Counts) -> dict[str, Any]:
    """Return the time of a single point of mace-torch in batches of like cost."""
    with needing("mace"):
        from benchmarks.random_mace import random_mace
        from physics.mlip.mace import mace_potential

        potential = mace_potential(random_mace(0), "MACE small, random", device=torch_device())
    structures = counts.draw("perovskites", counts.batched)
    potential.predict(structures[:2])
    seconds = seconds_of(lambda: potential.predict(structures), 2)
    return {"mace_ms_per_single_point": 1e3 * seconds / len(structures)}


def torch_sim_batched(counts: Counts) -> dict[str, Any]:
    """Return the time of a single point of MACE in torch-sim: all at once on a GPU, in small batches on a CPU."""
    with needing("torch-sim"):
        import torch_sim  # pyright: ignore[reportMissingImports]
        from torch_sim.models.mace import MaceModel  # pyright: ignore[reportMissingImports]

        model = MaceModel(**_model_arguments())
    structures = counts.draw("perovskites", counts.batched)
    size = 64 if torch_device() == "cuda" else 8

    def answer(structures: "list[Atoms]") -> list[Any]:
        parts = [structures[start : start + size] for start in range(0, len(structures), size)]
        return [torch_sim.static(part, model) for part in parts]

    answer(structures[:2])
    seconds = seconds_of(lambda: answer(structures), 2)
    return {"torch_sim_mace_ms_per_single_point": 1e3 * seconds / len(structures)}


def _model_arguments() -> dict[str, Any]:
    import torch

    from benchmarks.random_mace import random_mace

    model = random_mace(0).float().requires_grad_(False)
    return {"model": model, "device": torch.device(torch_device()), "dtype": torch.float32}
