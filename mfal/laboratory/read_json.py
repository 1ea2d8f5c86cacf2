"""Results as JSON: numbers are kept as they are written, keys may not repeat, NaN and Infinity are none."""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any

from mfal.laboratory.problems import Problem
from mfal.laboratory.schema import RESULTS_VERSION

_KEYS = ("schema_version", "results")
_LONGEST_NUMBER = 60


def raw_rows(text: str) -> tuple[list[tuple[int, Any]], list[Problem]]:
    """Return the rows as (line, keys and values of a `ResultRow`), and what is wrong with the document."""
    try:
        document = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        return [], [Problem(error.lineno, "", "", f"is no JSON ({error.msg}, column {error.colno}); correct it")]
    except (ValueError, RecursionError) as error:
        return [], [Problem(None, "", "", f"cannot be read: {error}")]
    problems = _document_problems(document)
    return ([], problems) if problems else (list(zip(_row_lines(text), document["results"], strict=True)), [])


def _document_problems(document: Any) -> list[Problem]:
    if not isinstance(document, dict):
        return [Problem(1, "", "", f"is no object; write {{{', '.join(map(repr, _KEYS))}}}")]
    found = [Problem(None, key, "", "unknown key; remove it") for key in document if key not in _KEYS]
    found += [Problem(None, key, "", "is missing; add it") for key in _KEYS if key not in document]
    version, rows = document.get("schema_version"), document.get("results")
    if "schema_version" in document and version != RESULTS_VERSION:
        text = f"this mfal reads {RESULTS_VERSION!r}; write that, or upgrade mfal"
        found.append(Problem(None, "schema_version", str(version)[:100], text))
    if "results" in document and not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)):
        found.append(Problem(None, "results", str(rows)[:100], "is no list of objects; write one object a result"))
    return found


def _row_lines(text: str) -> Iterator[int]:
    """Yield the line of every object inside the one list of the document."""
    depth, line, quoted, escaped = 0, 1, False, False
    for letter in text:
        line += letter == "\n"
        if quoted:
            quoted, escaped = escaped or letter != '"', letter == "\\" and not escaped
        elif letter == '"':
            quoted = True
        elif letter in "{[":
            depth += 1
            if depth == 3:
                yield line
        elif letter in "}]":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    repeated = sorted({key for key, _ in pairs if [name for name, _ in pairs].count(key) > 1})
    if repeated:
        raise ValueError(f"an object has {repeated} more than once; keep one of each")
    return dict(pairs)


def _number(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"the number {text[:20]}... has {len(text)} characters; write at most {_LONGEST_NUMBER}")
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"the number {text} is too large; correct it") from error


def _constant(text: str) -> Any:
    raise ValueError(f"{text} is no number; leave the value out and give the reason in 'failure'")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_int=_number, parse_constant=_constant)
