"""The formulas that a generator learns from, read line by line."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import fmean

import numpy as np
from jaxtyping import Float

from mfal.errors import ConstraintError, GenerationError
from mfal.space.formula import ELEMENTS, Formula

# Fractions that agree to so many digits are one composition.
_DIGITS = 9


@dataclass(frozen=True)
class Corpus:
    """Compositions, each once.

    Attributes:
        elements: that occur, in the order in which formulas have them; columns of `fractions`.
        formulas: as written.
        fractions: atomic, shape (formulas, elements).
    """

    elements: tuple[str, ...]
    formulas: tuple[str, ...]
    fractions: Float[np.ndarray, "n d"]

    @staticmethod
    def of(formulas: Sequence[str]) -> "Corpus":
        """Read formulas; of those that are the same composition the first is kept.

        Raises:
            GenerationError: there is none.
            ConstraintError: one cannot be read.
        """
        return _corpus({text: Formula.parse(text) for text in formulas})

    def __contains__(self, formula: Formula) -> bool:
        """Return whether a composition is among them."""
        if not set(formula.amounts) <= set(self.elements):
            return False
        return _key(formula.fractions(self.elements)) in self._keys

    @cached_property
    def _keys(self) -> frozenset[bytes]:
        return frozenset(_key(row) for row in self.fractions)


def read_corpus(path: Path) -> Corpus:
    """Read a text file with a formula a line, or a CSV file with a column `formula`; `#` begins a comment.

    Raises:
        GenerationError: the file cannot be read or holds no formula; or a line is no formula: names it.
    """
    read: dict[str, Formula] = {}
    for number, text in _lines(path):
        try:
            read[text] = Formula.parse(text)
        except ConstraintError as error:
            raise GenerationError(f"{path}:{number}: {error}") from error
    if not read:
        raise GenerationError(f"{path}: holds no formula; write one a line, such as MoS2")
    return _corpus(read)


def _key(fractions: Float[np.ndarray, " d"]) -> bytes:
    return np.round(fractions, _DIGITS).tobytes()


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each formula of a file with its line number."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise GenerationError(f"{path}: cannot be read ({error}); name a text file of formulas") from error
    header = [name.strip() for name in next(csv.reader(lines[:1]), [])]
    if "formula" not in header:
        for number, line in enumerate(lines, start=1):
            if text := line.partition("#")[0].strip():
                yield number, text
        return
    column = header.index("formula")
    for number, line in enumerate(lines[1:], start=2):
        cells = next(csv.reader([line]), [])
        if cells and column >= len(cells):
            raise GenerationError(f"{path}:{number}: {line!r} lacks the column 'formula'; complete the line")
        if cells:
            yield number, cells[column].strip()


def _corpus(read: dict[str, Formula]) -> Corpus:
    if not read:
        raise GenerationError("the corpus is empty: give at least one formula to learn from")
    elements = _as_written([list(formula.amounts) for formula in read.values()])
    fractions = np.array([formula.fractions(elements) for formula in read.values()])
    kept = np.sort(np.unique(np.round(fractions, _DIGITS), axis=0, return_index=True)[1])
    texts = list(read)
    return Corpus(elements, tuple(texts[row] for row in kept), fractions[kept])


def _as_written(formulas: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the elements by their mean place in formulas, so that new ones are written like those of the corpus."""
    places: dict[str, list[float]] = {}
    for symbols in formulas:
        for place, symbol in enumerate(symbols):
            places.setdefault(symbol, []).append(place / len(symbols))
    return tuple(sorted(places, key=lambda symbol: (fmean(places[symbol]), ELEMENTS.index(symbol))))
