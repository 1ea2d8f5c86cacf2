"""What well-formed rows mean in a campaign: known ids, exact units, possible values, corrections that say so."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction

from mfal.laboratory.options import LaboratoryOptions, laboratory_options
from mfal.laboratory.problems import Problem, RefusedResultsError
from mfal.laboratory.reading import Line
from mfal.laboratory.requests import Request
from mfal.laboratory.schema import ResultRow
from mfal.laboratory.told import Result, Revision, Told
from mfal.laboratory.units import accepted_units, factor

# Beyond these powers of ten the square of a deviation is no float any more, whatever the unit.
_LARGEST_EXPONENT = 100
_TIME_ZONES = timedelta(hours=14)  # the date may be ahead elsewhere


@dataclass(frozen=True)
class Accepted:
    """A result that is news.

    Attributes:
        line: in the file.
        result: in the campaign's unit.
        late_hours: after the due time; 0 where it is in time.
        as_told: value, unit and uncertainty as they were written.
        replaces: the revision that it corrects.
    """

    line: int
    result: Result
    late_hours: float
    as_told: Mapping[str, str | None]
    replaces: Revision | None


@dataclass(frozen=True)
class Assessment:
    """What a file tells.

    Attributes:
        accepted: news, in the order of the file.
        repeated: rows that were told before, with the revision that they repeat.
    """

    accepted: tuple[Accepted, ...]
    repeated: tuple[tuple[Line, Revision], ...]


def assess(
    lines: Sequence[Line], source: str, unit: str, asked: Mapping[str, Request], told: Told, now: datetime
) -> Assessment:
    """Return what the rows of a file tell a campaign.

    Args:
        lines: of the file.
        source: its name, for messages.
        unit: of the property.
        asked: requests by id.
        told: so far.
        now: time of telling.

    Raises:
        RefusedResultsError: a row cannot be accepted; then none is.
    """
    accepted, repeated, problems = [], [], []
    for line in lines:
        request = asked.get(line.row.id)
        found = [_unknown(line, asked)] if request is None else _row_problems(line, request, unit, now)
        problems += found
        if request is None or found:
            continue
        news = _converted(line, request, unit, now)
        before = told.revisions.get(request.key, ())
        same = [one for one in before if one.line and one.result == news.result]
        wrong = _history_problem(line, before) if not same else None
        if same:
            repeated.append((line, same[-1]))
        elif wrong is not None:
            problems.append(wrong)
        else:
            accepted.append(replace(news, replaces=before[-1] if before else None))
    if problems:
        raise RefusedResultsError(source, problems)
    return Assessment(tuple(accepted), tuple(repeated))


def _unknown(line: Line, asked: Mapping[str, Request]) -> Problem:
    waiting = [name for name, request in asked.items() if not request.answered]
    text = f"was not asked; copy the id from the batch ({len(waiting)} wait, such as {waiting[:1]})"
    return Problem(line.number, "id", line.row.id, text)


def _row_problems(line: Line, request: Request, unit: str, now: datetime) -> list[Problem]:
    row, options = line.row, laboratory_options(request.fidelity)
    found = [*_outcome_problems(row), *_number_problems(row)]
    found += _unit_problems(row, unit) if not found else []
    found += _range_problems(row, unit, options) if not found else []
    found += _detail_problems(row, options, now)
    return [Problem(line.number, column, value, remedy) for column, value, remedy in found]


Found = list[tuple[str, str, str]]


def _outcome_problems(row: ResultRow) -> Found:
    if row.value is None and row.failure is None:
        return [("value", "", "there is neither a value nor a failure; leave the row out until there is one")]
    if row.value is not None and row.failure is not None:
        return [("failure", row.failure, f"there is a value too ({row.value}); keep one of the two")]
    if row.value is None and row.uncertainty is not None:
        return [("uncertainty", str(row.uncertainty), "a failure has none; remove it")]
    return []


def _number_problems(row: ResultRow) -> Found:
    found = []
    for column in ("value", "uncertainty", "price_eur"):
        number = getattr(row, column)
        if number is not None and abs(number.adjusted()) > _LARGEST_EXPONENT and number != 0:
            found.append((column, f"{number:.3e}", "cannot be measured; correct the power of ten"))
    if row.uncertainty is not None and row.uncertainty <= 0:
        found.append(("uncertainty", str(row.uncertainty), "must be positive; leave it empty where none is known"))
    if row.price_eur is not None and row.price_eur < 0:
        found.append(("price_eur", str(row.price_eur), "must not be negative; write what was paid, in EUR"))
    return found


def _unit_problems(row: ResultRow, unit: str) -> Found:
    if row.unit is None:
        return [] if row.value is None else [("unit", "", f"is missing; write one of {accepted_units(unit)}")]
    if factor(row.unit, unit) is None:
        return [("unit", row.unit, f"does not convert exactly to {unit}; write one of {accepted_units(unit)}")]
    return []


def _range_problems(row: ResultRow, unit: str, options: LaboratoryOptions) -> Found:
    if row.value is None or row.unit is None:
        return []
    value = _in_unit(row.value, row.unit, unit)
    low = -math.inf if options.lowest is None else options.lowest
    high = math.inf if options.highest is None else options.highest
    if low <= value <= high:
        return []
    text = f"{value:g} {unit} is not from {low:g} to {high:g}, the campaign file's lowest and highest; check the unit"
    return [("value", str(row.value), text)]


def _detail_problems(row: ResultRow, options: LaboratoryOptions, now: datetime) -> Found:
    unknown = sorted(set(row.steps) - set(options.steps))
    declared = f"declared are {options.steps}" if options.steps else "the campaign file declares none (options.steps)"
    found = [("steps", name, f"no such step; {declared}") for name in unknown]
    if row.measured_on is not None and row.measured_on > (now + _TIME_ZONES).date().isoformat():
        found.append(("measured_on", row.measured_on, "is in the future; correct the day"))
    return found


def _history_problem(line: Line, before: Sequence[Revision]) -> Problem | None:
    row = line.row
    if before and row.correction is None:
        last = before[-1]
        outcome = last.result.failure if last.result.value is None else f"{last.result.value:g}"
        text = f"was told before ({outcome}, from {last.source}); to correct it, say why in 'correction'"
        return Problem(line.number, "id", row.id, text)
    if not before and row.correction is not None:
        return Problem(line.number, "correction", row.correction, "there is no earlier result; leave it empty")
    return None


def _converted(line: Line, request: Request, unit: str, now: datetime) -> Accepted:
    row = line.row
    late_hours = round(max(0.0, (now - request.due).total_seconds() / 3600.0), 2)
    result = Result(
        id=row.id, key=request.key, failure=row.failure, measured_on=row.measured_on, correction=row.correction,
        value=None if row.value is None else _in_unit(row.value, row.unit or unit, unit),
        noise_sd=None if row.uncertainty is None else _in_unit(row.uncertainty, row.unit or unit, unit),
        price_eur=None if row.price_eur is None else float(row.price_eur), steps=row.steps, extra=row.extra,
    )  # fmt: skip
    amounts = {"value": row.value, "uncertainty": row.uncertainty}
    written = {name: None if amount is None else str(amount) for name, amount in amounts.items()}
    return Accepted(line.number, result, late_hours, written | {"unit": row.unit}, None)


def _in_unit(amount: Decimal, unit: str, to: str) -> float:
    """Return the float nearest to the exact amount in the other unit."""
    exact = factor(unit, to)
    assert exact is not None, "the unit was checked"
    return float(Fraction(amount) * exact)
