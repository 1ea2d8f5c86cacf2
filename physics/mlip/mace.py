"""MACE through mace-torch: energies, forces, stresses and embeddings of many crystals in one pass.

Batatia et al., NeurIPS 2022 (arXiv:2206.07697). mace answers structures that are not periodic as well; here they are
refused, because a stress and a volume belong to every answer.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from physics.mlip.mace_checkpoint import find_checkpoint, import_mace, quietly, read_checkpoint
from physics.mlip.potential import Prediction, Refusal, Relaxation, RelaxationSettings, ignore
from physics.mlip.reading import MIN_DISTANCE_A, compact, overlapping, refusals

if TYPE_CHECKING:
    import torch
    from ase import Atoms
    from mace.tools import AtomicNumberTable

# Directed edges of a batch. A CPU gains nothing from more than fill its caches; a GPU wants many, and each needs 25 to
# 50 kB in MACE-MP's small model, 90 kB in the medium one. What does not fit is halved.
EDGES = {"cpu": 8_000, "cuda": 200_000}
PRECISIONS = ("float32", "float64")


class UnknownHeadError(ValueError):
    """A model was trained on several kinds of data and it is not said, or not known, which one is meant."""


@dataclass(frozen=True)
class MacePotential:
    """MACE on one device; `load_mace` and `mace_potential` make it.

    Attributes:
        model: the ScaleShiftMACE, without gradients of its parameters.
        label: model and weights.
        head: name of the data whose energies it answers with.
    """

    model: Any = field(repr=False)
    label: str
    head: str

    def predict(self, structures: Sequence["Atoms"]) -> list[Prediction | Refusal]:
        """Return energies, forces, stresses and embeddings of structures as they are, in batches of like cost."""
        found: dict[int, Prediction | Refusal] = {}
        for batch in _batches(self._read(structures), EDGES.get(self.model.r_max.device.type, EDGES["cuda"])):
            found |= {index: graph for index, graph in batch.items() if isinstance(graph, Refusal)}
            good = {index: graph for index, graph in batch.items() if index not in found}
            found |= zip(good, self._answer(list(good.values())), strict=True)
        return [found[index] for index in range(len(structures))]

    def relax(
        self, structures: Sequence["Atoms"], settings: RelaxationSettings, watch: Callable[[int], None] = ignore
    ) -> list[Relaxation | Refusal]:
        """Return the minima next to the structures; `watch` is told how many have ended."""
        from physics.mlip.host_relax import relax_on_host

        return relax_on_host(self.predict, structures, settings, watch)

    def _read(self, structures: Sequence["Atoms"]) -> Iterator[tuple[int, Any]]:
        """Yield mace's graph of each structure, or its refusal."""
        from mace.tools import AtomicNumberTable

        table = AtomicNumberTable(self.model.atomic_numbers.tolist())
        refused = refusals(structures, lambda numbers: np.isin(numbers, table.zs))
        for index, atoms in enumerate(structures):
            yield index, Refusal(refused[index]) if index in refused else self._graph(atoms, table)

    def _graph(self, atoms: "Atoms", table: "AtomicNumberTable") -> Any:
        """Return mace's graph, or a refusal where atoms overlap."""
        from mace.data import AtomicData, Configuration
        from mace.tools.torch_tools import default_dtype

        # the compact cell of the lattice keeps the search for neighbours short in sheared descriptions
        cell = compact(atoms.cell.array[None])[0]
        closest_a = np.linalg.norm(cell, axis=1).min()  # of an atom to its images; a tiny cell has too many to list
        if closest_a >= MIN_DISTANCE_A:
            fractional = atoms.positions @ np.linalg.inv(cell)
            positions = (fractional - np.floor(fractional)) @ cell
            configuration = Configuration(atoms.numbers, positions, {}, {}, cell, (True, True, True), head=self.head)
            with default_dtype(_precision(self.model)):
                graph = AtomicData.from_config(configuration, table, float(self.model.r_max), _heads(self.model))
            if (distance_a := _shortest(graph)) >= MIN_DISTANCE_A:
                return graph
            closest_a = distance_a
        return Refusal(f"{atoms.get_chemical_formula()!r} {overlapping(closest_a)}")

    def _answer(self, graphs: Sequence[Any]) -> list[Prediction | Refusal]:
        """Answer one batch, in halves where the device's memory is too small for it."""
        import torch

        if not graphs:
            return []
        try:
            return self._compute(graphs)
        except torch.OutOfMemoryError:
            if len(graphs) == 1:
                return [Refusal(f"{graphs[0].num_nodes} atoms do not fit the memory of the GPU; use device='cpu'")]
        # outside of the handler, which keeps the failed batch's tensors alive
        half = len(graphs) // 2
        return self._answer(graphs[:half]) + self._answer(graphs[half:])

    def _compute(self, graphs: Sequence[Any]) -> list[Prediction | Refusal]:
        import torch
        from ase.units import GPa
        from mace.tools.torch_geometric import Batch

        with quietly(), torch.enable_grad():
            batch = Batch.from_data_list(list(graphs)).to(self.model.r_max.device)
            answer = self.model(batch.to_dict(), compute_stress=True)
        keys = ("energy", "forces", "stress", "node_feats")
        energies, forces, stresses, features = (answer[key].detach().cpu().numpy() for key in keys)
        counts = np.array([graph.num_nodes for graph in graphs])
        starts = np.concatenate([[0], np.cumsum(counts)])
        # on the host, where the order of a sum is always the same
        means = np.add.reduceat(features[:, _invariants(self.model)], starts[:-1]) / counts[:, None]
        return [
            _checked(Prediction(float(energies[i] / counts[i]), forces[start:end], stresses[i] / GPa, None, means[i]))
            for i, (start, end) in enumerate(itertools.pairwise(starts))
        ]


def load_mace(
    name_or_path: str | Path, head: str | None = None, device: str | None = None, precision: str = "float32"
) -> MacePotential:
    """Load a checkpoint without executing anything that it may carry.

    Args:
        name_or_path: a file, or a name of MACE-MP such as ``small``, fetched where the network allows.
        head: name of the data whose energies are wanted; needed only where a model knows several.
        device: of torch; None for the GPU if there is one.
        precision: ``float32`` or ``float64``, which elastic constants and phonons need.

    Raises:
        CheckpointError: the file is unsafe or no model of MACE.
        UnknownCheckpointError: neither a file nor a published model has the name.
        CheckpointDownloadError: the network does not give the model.
        UnknownHeadError: the model has several heads and none of them is named.
        MissingMaceError: mace-torch is not installed.
    """
    _check_precision(precision)
    path = find_checkpoint(name_or_path)
    name = path.stem if Path(name_or_path).is_file() else str(name_or_path)
    return mace_potential(read_checkpoint(path, precision), f"MACE {name}", head, device, precision)


def mace_potential(
    model: "torch.nn.Module",
    label: str,
    head: str | None = None,
    device: str | None = None,
    precision: str = "float32",
) -> MacePotential:
    """Make a potential of a model in memory, which is moved and converted; arguments and errors as of `load_mace`."""
    _check_precision(precision)
    import_mace()
    import torch

    heads = _heads(model)
    if head not in heads and (head is not None or len(heads) > 1):
        raise UnknownHeadError(f"{label} has no {head=}: choose one of {heads}")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    model = model.to(device=device, dtype=getattr(torch, precision)).eval().requires_grad_(False)
    return MacePotential(model, label, head or heads[0])


def _check_precision(precision: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"{precision=} is not one of {PRECISIONS}")


def _heads(model: Any) -> list[str]:
    return list(getattr(model, "heads", None) or ["Default"])


def _precision(model: Any) -> str:
    return str(model.r_max.dtype).removeprefix("torch.")


def _shortest(graph: Any) -> float:
    """Return the length of the shortest edge, angstrom."""
    sender, receiver = graph.edge_index
    vectors = graph.positions[receiver] - graph.positions[sender] + graph.shifts
    return float(vectors.norm(dim=1).min()) if len(vectors) else float("inf")


def _batches(graphs: Iterable[tuple[int, Any]], budget: int) -> Iterator[dict[int, Any]]:
    """Cut graphs, in their order, into batches of about `budget` edges; refusals have none."""
    batch: dict[int, Any] = {}
    edges = 0
    for index, graph in graphs:
        more = 0 if isinstance(graph, Refusal) else graph.num_edges
        if batch and edges + more > budget:
            yield batch
            batch, edges = {}, 0
        batch[index] = graph
        edges += more
    yield batch


def _invariants(model: Any) -> np.ndarray:
    """Return the columns of the scalars among the features of all layers; the others turn with the crystal."""
    from e3nn.o3 import Irreps

    columns, start = [], 0
    for product in model.products:
        for count, irrep in Irreps(str(product.linear.irreps_out)):
            if irrep.is_scalar():
                columns.append(np.arange(start, start + count))
            start += count * irrep.dim
    return np.concatenate(columns)


def _checked(prediction: Prediction) -> Prediction | Refusal:
    parts = (prediction.energy_ev_per_atom, prediction.forces_ev_per_a, prediction.stress_gpa, prediction.embedding)
    if all(np.isfinite(part).all() for part in parts if part is not None):
        return prediction
    return Refusal("MACE's answer is not finite: the structure is far from what the model was trained on")
