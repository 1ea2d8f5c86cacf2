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
        table: CSV file that rows are appended to; what it holds already is not computed again.
        weights: of the model; None for its default.
    """

    places: tuple[Path, ...]
    table: Path
    weights: str | None


@dataclass(frozen=True)
class ScreenReport:
    """What became of it.

    Attributes:
        answered: structures answered by this call.
        failures: names without an answer, of this call, each with the reason.
        before: rows that were there already.
    """

    answered: int
    failures: tuple[tuple[str, str], ...]
    before: int


class Screen(Protocol):
    """Answers structures with one model."""

    def __call__(self, request: ScreenRequest, watch: Callable[[int], None]) -> ScreenReport:
        """Answer all; `watch` is told how many have been dealt with.

        Raises:
            ScreeningError: a place does not exist, or the table is of something else.
            MissingExtraError: a package is not installed.
        """
        ...
