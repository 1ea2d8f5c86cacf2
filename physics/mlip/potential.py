"""What every potential answers, whatever computes it: CHGNet in JAX, MACE in torch, or any ASE calculator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms


@dataclass(frozen=True)
class Prediction:
    """What a potential says of one structure.

    Attributes:
        energy_ev_per_atom: total energy.
        forces_ev_per_a: shape (atoms, 3).
        stress_gpa: shape (3, 3), positive where the crystal is stretched.
        magnetic_moments_mu_b: shape (atoms,); None where the potential has none.
        embedding: mean over the atoms of their invariant features, the same for every supercell; None where the
            potential has none.
    """

    energy_ev_per_atom: float
    forces_ev_per_a: np.ndarray
    stress_gpa: np.ndarray
    magnetic_moments_mu_b: np.ndarray | None = None
    embedding: np.ndarray | None = None


@dataclass(frozen=True)
class Refusal:
    """A structure that the potential cannot answer.

    Attributes:
        reason: what is wrong with it and the remedy, in a sentence.
    """

    reason: str


class Outcome(StrEnum):
    """How a relaxation ended."""

    CONVERGED = "converged"
    NOT_CONVERGED = "not converged"
    EXPLODED = "exploded"
    LOST_ATOMS = "lost atoms"


@dataclass(frozen=True)
class Relaxation:
    """The end of a relaxation.

    Attributes:
        atoms: final structure, without calculator.
        prediction: of that structure.
        steps: evaluations of forces.
        outcome: only a converged one is a minimum.
    """

    atoms: "Atoms"
    prediction: Prediction
    steps: int
    outcome: Outcome


@dataclass(frozen=True)
class RelaxationSettings:
    """When a relaxation ends.

    Attributes:
        fmax_ev_per_a: largest force on an atom, and largest row of ``volume x stress / atoms`` where the cell moves.
        max_steps: evaluations of forces, at most.
        moves_cell: whether the cell is relaxed as well.
    """

    fmax_ev_per_a: float = 0.05
    max_steps: int = 500
    moves_cell: bool = True


def ignore(done: int) -> None:
    """Watch nothing."""


class Potential(Protocol):
    """Answers many structures at once, each with an answer or a refusal in its place."""

    @property
    def label(self) -> str:
        """Model and weights, as tables name them."""
        ...

    def predict(self, structures: Sequence["Atoms"]) -> list[Prediction | Refusal]:
        """Return energies, forces and stresses of structures as they are; calculators are not looked at."""
        ...

    def relax(
        self, structures: Sequence["Atoms"], settings: RelaxationSettings, watch: Callable[[int], None] = ignore
    ) -> list[Relaxation | Refusal]:
        """Return the minima next to the structures; `watch` is told how many have ended."""
        ...
