"""What is wrong with a file of results, all of it at once: place, value and remedy."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfal.errors import ResultsRefusedError

_SHOWN = 20


@dataclass(frozen=True)
class Problem:
    """One reason to refuse a file.

    Attributes:
        line: from 1; None where the whole file is meant.
        column: of a table, or key of a JSON document; empty where the whole line is meant.
        value: found there, as written.
        remedy: what is wrong and what to do about it.
    """

    line: int | None
    column: str
    value: str
    remedy: str

    def text(self, source: str) -> str:
        """Return the problem as a line for people."""
        place = source if self.line is None else f"{source}:{self.line}"
        found = f"{self.column} = {self.value!r}" if self.column and self.value else self.column or self.value
        return f"{place}: {found}: {self.remedy}" if found else f"{place}: {self.remedy}"


class RefusedResultsError(ResultsRefusedError):
    """A file of results with its problems; nothing of it was taken in."""

    def __init__(self, source: str, problems: Sequence[Problem]):
        self.problems = tuple(problems)
        lines = [problem.text(source) for problem in self.problems[:_SHOWN]]
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        super().__init__("\n".join([*lines, *more, "nothing of the file was taken in"]))
