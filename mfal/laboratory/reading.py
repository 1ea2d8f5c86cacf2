"""From the bytes of a file to rows that are well formed; what the rows mean is for `assess`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from mfal.laboratory import read_csv, read_json
from mfal.laboratory.problems import Problem, RefusedResultsError
from mfal.laboratory.schema import ResultRow

MOST_BYTES = 1_000_000
Format = Literal["csv", "json"]
_REMEDIES = {
    "extra_forbidden": "unknown key; what is worth keeping goes into 'extra'",
    "missing": "is missing; add it",
    "is_instance_of": "write a bare number",
    "decimal_type": "write a bare number",
    "finite_number": "is not finite; leave the value out and give the reason in 'failure'",
}


@dataclass(frozen=True)
class Line:
    """A result and the line where it stands."""

    number: int
    row: ResultRow


def read_results(content: bytes, form: Format, source: str) -> list[Line]:
    """Return the results in a file.

    Args:
        content: of the file, UTF-8.
        form: CSV with commas, or JSON.
        source: name of the file, for messages.

    Raises:
        RefusedResultsError: anything about the file that cannot be accepted.
    """
    if len(content) > MOST_BYTES:
        problem = Problem(None, "", "", f"has {len(content)} bytes, more than {MOST_BYTES}; tell it in parts")
        raise RefusedResultsError(source, [problem])
    raw, problems = (read_csv if form == "csv" else read_json).raw_rows(_text(content, source))
    lines = []
    for number, cells in raw:
        try:
            lines.append(Line(number, ResultRow.model_validate(cells)))
        except ValidationError as error:
            problems += [_explained(number, entry) for entry in error.errors()]
    if not problems and not lines:
        problems = [Problem(None, "", "", "holds no result; add a row a result")]
    problems += _repeated(lines)
    if problems:
        raise RefusedResultsError(source, sorted(problems, key=lambda problem: problem.line or 0))
    return lines


def _text(content: bytes, source: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, found = content[: error.start].count(b"\n") + 1, content[error.start : error.end].hex()
        problem = Problem(line, "", f"byte 0x{found}", "is no UTF-8; save the file as UTF-8")
        raise RefusedResultsError(source, [problem]) from error


def _explained(line: int, entry: Mapping[str, Any]) -> Problem:
    column = ".".join(str(part) for part in entry["loc"]).removesuffix(".[key]")
    value = "" if entry["type"] == "missing" else str(entry["input"])[:100]
    said = str(entry["msg"]).removeprefix("Value error, ")
    return Problem(line, column, value, _REMEDIES.get(str(entry["type"])) or said)


def _repeated(lines: Sequence[Line]) -> list[Problem]:
    first: dict[str, int] = {}
    found = []
    for line in lines:
        if line.row.id in first:
            text = f"stands in line {first[line.row.id]} already; keep one of the two"
            found.append(Problem(line.number, "id", line.row.id, text))
        first.setdefault(line.row.id, line.number)
    return found
