"""A second reading of a file of results, which shares no code with the first.

The table is read letter by letter after RFC 4180, the document by pydantic's own parser, numbers as floats. It says
what a file means and what no file may mean; a file that it cannot read must not be accepted either.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

VERSION = "mfal.results/1"
_SCALE = {"eV/atom": 1.0, "meV/atom": 1e-3}
_PLAIN = re.compile(r"^[-+]?(\d+\.?\d*)([eE][-+]?\d+)?$", re.ASCII)
_KNOWN = {"id", "value", "unit", "uncertainty", "failure", "price_eur", "measured_on", "correction", "steps", "extra"}


@dataclass(frozen=True)
class Meaning:
    """What a row says; numbers in the campaign's unit."""

    id: str
    value: float | None
    noise_sd: float | None
    failure: str | None
    price_eur: float | None
    measured_on: str | None
    correction: str | None
    steps: Mapping[str, bool]
    extra: Mapping[str, str]

    def equals(self, other: "Meaning") -> bool:
        """Compare, numbers to the last few bits: units are converted in another order here."""
        numbers = ("value", "noise_sd", "price_eur")
        rest = ("id", "failure", "measured_on", "correction", "steps", "extra")
        return all(_near(getattr(self, name), getattr(other, name)) for name in numbers) and all(
            getattr(self, name) == getattr(other, name) for name in rest
        )


class MeaninglessError(Exception):
    """The file says nothing that may be accepted."""


def read(content: bytes, form: str, lowest: float, highest: float) -> list[Meaning]:
    """Return what a file says.

    Raises:
        MeaninglessError: it must not be accepted, whatever else it says.
    """
    try:
        text = content.decode("utf-8").removeprefix("\ufeff")
        rows = _table(text) if form == "csv" else _document(text)
        found = [_meaning(row) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MeaninglessError(str(error)) from error
    _need(bool(found), "no row")
    _need(len({one.id for one in found}) == len(found), "an id twice")
    for one in found:
        _check(one, lowest, highest)
    return found


def _table(text: str) -> list[dict[str, Any]]:
    header, *body = [row for row in _cells(text) if row != [""]]
    _need(len(set(header)) == len(header), "a column twice")
    rows = []
    for cells in body:
        _need(len(cells) == len(header), "cells without a column")
        named = dict(zip(header, cells, strict=True))
        _need(named.pop("schema_version") == VERSION, "another version")
        row: dict[str, Any] = {"steps": {}, "extra": {}}
        for name, cell in named.items():
            if name.startswith("step_") and cell:
                row["steps"][name[5:]] = {"true": True, "false": False}[cell]
            elif name.startswith("x_") and cell:
                row["extra"][name[2:]] = cell
            elif cell:
                row[name] = _float(cell) if name in ("value", "uncertainty", "price_eur") else cell
        rows.append(row)
    return rows


def _cells(text: str) -> list[list[str]]:
    rows, row, cell, quoted, index = [], [], "", False, 0
    while index < len(text):
        letter = text[index]
        if quoted:
            if letter == '"' and text[index + 1 : index + 2] == '"':
                cell, index = cell + '"', index + 1
            elif letter == '"':
                quoted = False
                _need(text[index + 1 : index + 2] in ("", ",", "\n", "\r"), "text after a quoted cell")
            else:
                cell += letter
        elif letter == '"' and not cell:
            quoted = True
        elif letter == ",":
            row, cell = [*row, cell], ""
        elif letter in "\r\n":
            index += letter == "\r" and text[index + 1 : index + 2] == "\n"
            rows, row, cell = [*rows, [*row, cell]], [], ""
        else:
            cell += letter
        index += 1
    _need(not quoted, "a quote left open")
    return [*rows, [*row, cell]]


def _document(text: str) -> Sequence[dict[str, Any]]:
    whole = from_json(text, allow_inf_nan=False)
    _need(set(whole) == {"schema_version", "results"} and whole["schema_version"] == VERSION, "another version")
    return whole["results"]


def _meaning(row: Mapping[str, Any]) -> Meaning:
    _need(not set(row) - _KNOWN, "unknown columns")
    numbers = [row.get(name) for name in ("value", "uncertainty", "price_eur")]
    _need(all(n is None or (isinstance(n, int | float) and not isinstance(n, bool)) for n in numbers), "no number")
    names = ("id", "unit", "failure", "measured_on", "correction")
    texts = {name: row.get(name) for name in names}
    _need(all(text is None or isinstance(text, str) for text in texts.values()), "no text")
    _need(all(isinstance(flag, bool) for flag in row.get("steps", {}).values()), "no flag")
    value, uncertainty, price = (None if n is None else float(n) for n in numbers)
    if value is not None:
        _need(texts["unit"] in _SCALE, "another unit")
    scale = _SCALE.get(str(texts["unit"]), 1.0)
    return Meaning(
        id=row["id"], value=None if value is None else value * scale, price_eur=price,
        noise_sd=None if uncertainty is None else uncertainty * scale, failure=texts["failure"],
        measured_on=texts["measured_on"], correction=texts["correction"], steps=row.get("steps", {}),
        extra=row.get("extra", {}),
    )  # fmt: skip


def _check(one: Meaning, lowest: float, highest: float) -> None:
    _need((one.value is None) != (one.failure is None), "a value and a failure, or neither")
    _need(all(n is None or math.isfinite(n) for n in (one.value, one.noise_sd, one.price_eur)), "not finite")
    _need(one.value is None or lowest <= one.value <= highest, "out of range")
    _need(one.noise_sd is None or (one.noise_sd > 0.0 and one.value is not None), "no deviation")
    _need(one.price_eur is None or one.price_eur >= 0.0, "a negative price")
    _need(one.failure != "" and one.correction != "", "an empty reason")


def _float(text: str) -> float:
    _need(_PLAIN.match(text) is not None, f"{text!r} is no number")
    return float(text)


def _near(first: float | None, second: float | None) -> bool:
    if first is None or second is None:
        return first is second
    return math.isclose(first, second, rel_tol=1e-14, abs_tol=0.0)


def _need(holds: bool, what: str) -> None:
    if not holds:
        raise MeaninglessError(what)
