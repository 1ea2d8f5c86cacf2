"""Results as CSV: commas, decimal points, a header with every column, UTF-8."""

import csv
import difflib
import io
import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from mfal.laboratory.problems import Problem
from mfal.laboratory.schema import EXTRA, RESULTS_VERSION, STEP

NEEDED = ("schema_version", "id", "value", "unit", "uncertainty", "failure")
OPTIONAL = ("price_eur", "measured_on", "correction")
_NUMBERS = ("value", "uncertainty", "price_eur")
_NUMBER = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,3})?")
_FLAGS = {"true": True, "false": False}

Cells = dict[str, Any]


def raw_rows(text: str) -> tuple[list[tuple[int, Cells]], list[Problem]]:
    """Return the rows as (line, keys and values of a `ResultRow`), and what is wrong with them."""
    try:
        lines = list(_lines(text))
    except csv.Error as error:
        return [], [Problem(text.count("\n") + 1, "", "", f"is no CSV ({error}); mend the quotes")]
    if not lines:
        return [], [Problem(None, "", "", f"is empty; begin with the header {','.join(NEEDED)}")]
    (header_line, header), *body = lines
    problems = _header_problems(header_line, header)
    if problems:
        return [], problems
    rows = []
    for number, cells in body:
        if len(cells) != len(header):
            text = f"{len(cells)} cells, where the header has {len(header)}; quote cells that hold a comma"
            problems.append(Problem(number, "", "", text))
        else:
            row, found = _row(number, dict(zip(header, cells, strict=True)))
            problems += found
            rows += [] if found else [(number, row)]
    return rows, problems


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    reader, before = csv.reader(io.StringIO(text, newline=""), strict=True), 0
    for cells in reader:
        if cells:
            yield before + 1, cells
        before = reader.line_num


def _header_problems(line: int, header: Sequence[str]) -> list[Problem]:
    found = [
        Problem(line, name, "", f"the column is missing; the header is {','.join(NEEDED)} (with commas)")
        for name in NEEDED if name not in header
    ]  # fmt: skip
    found += [
        Problem(line, name, "", "the column occurs twice; remove one")
        for name in sorted(set(header)) if list(header).count(name) > 1
    ]  # fmt: skip
    known = [*NEEDED, *OPTIONAL]
    for name in header:
        if name not in known and not name.startswith((STEP, EXTRA)):
            close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
            hint = f"did you mean {close[0]!r}? " if close else ""
            text = f"unknown column; {hint}begin it with {EXTRA!r} to keep it, with {STEP!r} for a step of the recipe"
            found.append(Problem(line, name, "", text))
    return found


def _row(line: int, cells: dict[str, str]) -> tuple[Cells, list[Problem]]:
    row: Cells = {"steps": {}, "extra": {}}
    problems: list[Problem] = []
    for column, text in cells.items():
        try:
            _place(row, column, text)
        except ValueError as error:
            problems.append(Problem(line, column, text, str(error)))
    return row, problems


def _place(row: Cells, column: str, text: str) -> None:
    if column == "schema_version":
        if text != RESULTS_VERSION:
            raise ValueError(f"this mfal reads {RESULTS_VERSION!r}; write that, or upgrade mfal")
    elif not text:
        return
    elif column.startswith(EXTRA):
        row["extra"][column.removeprefix(EXTRA)] = text
    elif column.startswith(STEP):
        row["steps"][column.removeprefix(STEP)] = _flag(text)
    else:
        row[column] = _number(text) if column in _NUMBERS else text


def _flag(text: str) -> bool:
    if text not in _FLAGS:
        raise ValueError("write true or false, or leave it empty where the step was not reached")
    return _FLAGS[text]


def _number(text: str) -> Decimal:
    if _NUMBER.fullmatch(text) is None:
        raise ValueError("is no plain number; write one such as -0.25 or 1.5e-3, with a decimal point and no unit")
    return Decimal(text)
