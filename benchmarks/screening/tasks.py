"""What is screened, and how much of it, on which device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.screening.cells import mixture, perovskites

if TYPE_CHECKING:
    from ase import Atoms

SEED = 0
SETS: dict[str, Callable[[int, int], list[Any]]] = {"perovskites": perovskites, "mixture": mixture}
_drawn: "dict[str, list[Atoms]]" = {}  # thousands of the mixture take half a minute


@dataclass(frozen=True)
class Counts:
    """How many structures there are.

    Every structure is drawn by itself, so the first ones of a set are a random sample of it: peers get those.

    Attributes:
        points: single points of perovskites and of the mixture.
        relaxed: relaxations of perovskites and of the mixture.
        batched: single points of each set for a peer that batches, and to compare answers with.
        one_by_one: single points for a peer that does not batch.
        batch_sizes: that are tried with CHGNet's own batching.
        relax_seconds: after which no further relaxation is begun by ASE.
    """

    points: tuple[int, int]
    relaxed: tuple[int, int]
    batched: int
    one_by_one: int
    batch_sizes: tuple[int, ...]
    relax_seconds: float

    def draw(self, name: str, count: int) -> "list[Atoms]":
        """Return the first structures of a set."""
        if len(_drawn.get(name, ())) < count:
            _drawn[name] = SETS[name](count, SEED)
        return _drawn[name][:count]


def suffix(name: str) -> str:
    """Return what the names of a set's figures end with: nothing for perovskites."""
    return "" if name == "perovskites" else f"_{name}"


# Relaxations: what `mfal screen` sends to a GPU together.
GPU = Counts((8000, 4000), (14000, 500), 128, 16, (16, 64, 128), 30.0)
CPU = Counts((200, 100), (24, 12), 64, 12, (16, 64), 60.0)
SMOKE = Counts((8, 4), (2, 2), 4, 2, (4,), 1.0)


def counts(smoke: bool, accelerated: bool) -> Counts:
    """Return how much of everything is measured."""
    return SMOKE if smoke else GPU if accelerated else CPU
