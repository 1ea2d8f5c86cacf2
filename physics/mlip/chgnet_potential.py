"""CHGNet for many structures at once, as a `Potential`."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import jax
import numpy as np

from physics.mlip.memory import device_memory_gb, needed_memory_gb
from physics.mlip.packing import Shape
from physics.mlip.potential import Prediction, Refusal, Relaxation, RelaxationSettings, ignore
from physics.mlip.reading import MIN_DISTANCE_A, Structures, compact, overlapping, read_structures
from physics.mlip.relax import Ended, relax
from physics.mlip.single_points import Answers, start_predicting
from physics.mlip.sizes import MOST_TRIED, Sizes, start_measuring
from physics.mlip.weights import ChgnetWeights, load_weights

if TYPE_CHECKING:
    from ase import Atoms


TOGETHER = 2048  # structures that are read at once for each device: a few batches of a GPU
Answer = TypeVar("Answer")
Item = TypeVar("Item")


class _Measured(NamedTuple):
    """Structures that can be answered, their sizes and places, and why others cannot."""

    structures: Structures
    sizes: Sizes
    places: np.ndarray
    refused: dict[int, Refusal]


@dataclass(frozen=True)
class ChgnetPotential:
    """CHGNet in JAX, on all devices of this process.

    Attributes:
        weights: parameters.
        release: their name.
        bond_budget: undirected bonds in a batch; None for what suits the device.
        shapes: of batches and of fleets that have been used, so that what comes next is put into compiled ones.
    """

    weights: ChgnetWeights
    release: str
    bond_budget: int | None = None
    shapes: tuple[list[Shape], list[Shape]] = field(default_factory=lambda: ([], []), repr=False, compare=False)

    @property
    def label(self) -> str:
        """Return model and weights."""
        return f"chgnet {self.release}"

    def predict(self, structures: Sequence["Atoms"]) -> list[Prediction | Refusal]:
        """Return energies, forces, stresses, magnetic moments and embeddings of structures as they are."""
        size = TOGETHER * jax.local_device_count()
        parts = (structures[start : start + size] for start in range(0, len(structures), size))
        # a device counts the bonds of one part, and the host reads it, while another is answered
        started = (self._start(measured) for measured in _one_ahead(self._read(part) for part in parts))
        return [one for finish in _one_ahead(started) for one in finish()]

    def _start(self, measured: Callable[[], _Measured]) -> Callable[[], list[Prediction | Refusal]]:
        good, sizes, places, refused = measured()
        finish = start_predicting(self.weights, good, sizes, self.shapes[0], self.bond_budget)
        return lambda: _in_places(dict(zip(places.tolist(), _predictions(good.starts, finish()), strict=True)), refused)

    def relax(
        self, structures: Sequence["Atoms"], settings: RelaxationSettings, watch: Callable[[int], None] = ignore
    ) -> list[Relaxation | Refusal]:
        """Return the minima next to the structures by batched FIRE; `watch` is told how many have ended."""
        good, sizes, places, refused = self._read(structures)()
        watch(len(refused))
        found: dict[int, Relaxation] = {}
        for ended in relax(self.weights, good, sizes, settings, self.shapes[1], self.bond_budget):
            starts = [structures[place] for place in places[ended.places].tolist()]
            found |= dict(zip(places[ended.places].tolist(), _relaxations(ended, starts), strict=True))
            watch(len(refused) + len(found))
        return _in_places(found, refused)

    def _read(self, structures: Sequence["Atoms"]) -> Callable[[], _Measured]:
        """Return what waits for the bonds to be counted and tells which structures can be answered."""
        good, places, reasons = read_structures(structures)
        counted = start_measuring(good, self.weights.atom_cutoff_a, self.weights.bond_cutoff_a)

        def measured() -> _Measured:
            sizes = counted()
            bad = _refused(sizes, self.weights.atom_cutoff_a)
            named = {(at := int(places[i])): f"{structures[at].get_chemical_formula()!r} {bad[i]}" for i in bad}
            kept = np.array([i for i in range(len(good)) if i not in bad], int)
            refused = {place: Refusal(text) for place, text in (reasons | named).items()}
            return _Measured(good.take(kept), sizes.take(kept), places[kept], refused)

        return measured


def load_chgnet(release: str = "0.3.0") -> ChgnetPotential:
    """Load one of `physics.mlip.weights.RELEASES`.

    Raises:
        UnknownWeightsError: no release has this name.
        MissingWeightsError: chgnet or torch is not installed.
    """
    return ChgnetPotential(load_weights(release), release)


def _one_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """Yield each item after the next one has been begun."""
    waiting: deque[Item] = deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > 1:
            yield waiting.popleft()
    yield from waiting


def _refused(sizes: Sizes, cutoff_a: float) -> dict[int, str]:
    """Return what is wrong with structures that were measured."""
    needed, there = needed_memory_gb(sizes), device_memory_gb()
    bad = (sizes.tried >= MOST_TRIED) | (sizes.closest_a < MIN_DISTANCE_A) | (sizes.lonely >= 0) | (needed > there)
    return {
        int(i): f"would try {sizes.tried[i]:.3g} distances between periodic images; reduce its cell"
        if sizes.tried[i] >= MOST_TRIED
        else overlapping(sizes.closest_a[i])
        if sizes.closest_a[i] < MIN_DISTANCE_A
        else f"has no neighbour of atom {sizes.lonely[i]} within {cutoff_a} angstrom; reduce vacuum"
        if sizes.lonely[i] >= 0
        else f"needs {needed[i]:.0f} GB of the device's {there:.0f}; reduce its cell or use a larger device"
        for i in np.flatnonzero(bad)
    }


def _in_places(found: dict[int, Answer], refused: dict[int, Refusal]) -> list[Answer | Refusal]:
    return [refused[place] if place in refused else found[place] for place in range(len(found) + len(refused))]


def _predictions(starts: np.ndarray, found: Answers) -> list[Prediction]:
    ends = starts[1:-1]
    columns = (
        found.energies_ev_per_atom.tolist(), np.split(found.forces_ev_per_a, ends), found.stresses_gpa,
        np.split(found.magnetic_moments_mu_b, ends), found.embeddings,
    )  # fmt: skip
    return [Prediction(*row) for row in zip(*columns, strict=False)] if len(starts) > 1 else []


def _relaxations(ended: Ended, starts: Sequence["Atoms"]) -> list[Relaxation]:
    first_atoms = ended.structures.starts
    moved = map(_moved, starts, np.split(ended.structures.fractional, first_atoms[1:-1]), ended.structures.cells)
    return list(map(Relaxation, moved, _predictions(first_atoms, ended.answers), ended.steps.tolist(), ended.outcomes))


def _moved(start: "Atoms", fractional: np.ndarray, cell: np.ndarray) -> "Atoms":
    """Undo what reading did to a structure: the caller's cell vectors, and images that atoms went to from theirs."""
    before = compact(start.cell.array[None])[0]
    inverse = np.linalg.inv(before)
    whole = np.floor(start.positions @ inverse)
    moved = start.copy()
    moved.calc = None
    moved.set_cell(np.rint(start.cell.array @ inverse) @ cell)
    moved.positions = (fractional + whole) @ cell
    return moved
