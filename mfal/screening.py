"""What a plug-in that screens structures is asked, and what it says (entry point group ``mfal.screens``)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ScreenRequest:
    """What to screen.

    Attributes:
        places: files, and folders of files.
        table: CSV or ``.parquet`` file; what it holds already is not computed again.
        weights: of the model; None for its default.
        relaxes: whether structures are relaxed first, cells included.
        fmax_ev_per_a: largest force where a relaxation ends.
        max_steps: of a relaxation.
        has_hull: whether energies above the hull are wanted.
        references: files and folders of further phases of the hull.
        structures_out: extended XYZ file of the structures with their answers; None for none.
    """

    places: tuple[Path, ...]
    table: Path
    weights: str | None = None
    relaxes: bool = False
    fmax_ev_per_a: float = 0.05
    max_steps: int = 500
    has_hull: bool = False
    references: tuple[Path, ...] = ()
    structures_out: Path | None = None


@dataclass(frozen=True)
class ScreenReport:
    """What became of it; references of the hull are counted among the failures only.

    Attributes:
        answered: structures answered by this call.
        converged: those of them that were relaxed and converged.
        failures: names without an answer, of this call, each with the reason.
        before: rows that were there already.
        hull: what the hull is of, in a sentence; empty without one.
    """

    answered: int
    converged: int
    failures: tuple[tuple[str, str], ...]
    before: int
    hull: str


class Screen(Protocol):
    """Answers structures with one model."""

    def __call__(self, request: ScreenRequest, watch: Callable[[int], None]) -> ScreenReport:
        """Answer all; `watch` is told how many have been dealt with, rows that were there already included.

        Raises:
            ScreeningError: a place does not exist, the table is of something else, or a file cannot be written.
            MissingExtraError: a package is not installed.
        """
        ...
