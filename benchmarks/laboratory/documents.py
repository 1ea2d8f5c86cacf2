"""Sound files of results, as they are before anything happens to them, and the campaign that they are for."""

import csv
import io
import json
import random
from datetime import UTC, datetime, timedelta

from mfal.fidelity import Fidelity
from mfal.laboratory.reading import Format
from mfal.laboratory.requests import Request, request_id
from mfal.laboratory.schema import RESULTS_VERSION
from mfal.laboratory.told import Result, Revision, Told

UNIT = "eV/atom"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LOWEST, HIGHEST = -5.0, 5.0
STEPS = ("weighed", "melted")
_CANDIDATES = ("NiAl", "FeAl", "CoAl", "TiNi", "ZrPd", "HfPt", "YCu", "LuAg")
_COLUMNS = (
    "schema_version", "id", "value", "unit", "uncertainty", "failure", "price_eur", "measured_on", "correction",
    "step_weighed", "step_melted", "x_operator",
)  # fmt: skip
_FAILURES = ("crucible broke", 'cracked, 3" from the rim', "no peak, sample lost")
_TOLD_BEFORE = 2


def asked() -> dict[str, Request]:
    """Return what the laboratory of this benchmark was asked."""
    options = {"steps": list(STEPS), "lowest": LOWEST, "highest": HIGHEST}
    fidelity = Fidelity("calorimetry", "laboratory", 500.0, 120.0, 8, 0.04, options=options)
    found = [_request(fidelity, candidate, rank) for rank, candidate in enumerate(_CANDIDATES, start=1)]
    return {request.id: request for request in found}


def told(requests: dict[str, Request]) -> Told:
    """Return results of the first requests, so that a file may correct or repeat them."""
    first = list(requests.values())[:_TOLD_BEFORE]
    rows = {one.key: [_revision(Result(one.id, one.key, -0.5, 0.03, None))] for one in first}
    return Told(rows, (), frozenset())


def document(form: Format, rng: random.Random) -> bytes:
    """Return a sound file with four to eight results: values in several units, failures, a correction, a repetition."""
    requests = asked()
    rows = [_row(name, index, rng) for index, name in enumerate(requests)]
    kept = rows[:_TOLD_BEFORE] + rng.sample(rows[_TOLD_BEFORE:], rng.randint(2, len(rows) - _TOLD_BEFORE))
    return _csv(kept) if form == "csv" else _json(kept, rng)


def _request(fidelity: Fidelity, candidate: str, rank: int) -> Request:
    name, when = request_id("0" * 64, fidelity.name, candidate), NOW - timedelta(days=3)
    return Request(
        id=name, key=f"{fidelity.name}:{candidate}", candidate=candidate, fidelity=fidelity, price_eur=500.0,
        gain=900.0, probability=0.3, mean=-0.5, sd=0.2, rank=rank, decided=len(_CANDIDATES), asked=when,
        due=when + timedelta(hours=fidelity.latency_hours), due_hours=120.0, answered=False,
    )  # fmt: skip


def _revision(result: Result) -> Revision:
    return Revision(1, result, "first.csv", 2, NOW.isoformat(), "0" * 64, 0.0, {})


def _row(name: str, index: int, rng: random.Random) -> dict[str, str]:
    row = dict.fromkeys(_COLUMNS, "") | {"schema_version": RESULTS_VERSION, "id": name}
    if index == 0:
        return row | {"value": "-0.5", "unit": UNIT, "uncertainty": "0.03"}  # told before
    row |= {"step_weighed": "true", "step_melted": rng.choice(["true", "false"]), "x_operator": rng.choice("ABC")}
    row |= {"price_eur": rng.choice(["", "480.50", "512"]), "measured_on": rng.choice(["", "2026-11-20"])}
    row["correction"] = "the balance was off" if index == 1 else ""
    if rng.random() < 0.2:
        return row | {"failure": rng.choice(_FAILURES)}
    value = round(rng.uniform(-1.5, 0.2), 4)
    if rng.random() < 0.5:
        return row | {"value": f"{1000 * value:.1f}", "unit": "meV/atom", "uncertainty": rng.choice(["", "25.5"])}
    return row | {"value": rng.choice([f"{value}", f"{value:.3e}"]), "unit": UNIT, "uncertainty": "0.04"}


def _csv(rows: list[dict[str, str]]) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([_COLUMNS, *([row[column] for column in _COLUMNS] for row in rows)])
    return text.getvalue().encode()


def _json(rows: list[dict[str, str]], rng: random.Random) -> bytes:
    results = [_json_row(row) for row in rows]
    whole = {"schema_version": RESULTS_VERSION, "results": results}
    return json.dumps(whole, indent=rng.choice([None, 1])).encode()


def _json_row(row: dict[str, str]) -> dict:
    numbers = {key: float(row[key]) for key in ("value", "uncertainty", "price_eur") if row[key]}
    texts = {key: row[key] for key in ("id", "unit", "failure", "measured_on", "correction") if row[key]}
    steps = {key: row[f"step_{key}"] == "true" for key in STEPS if row[f"step_{key}"]}
    return {**texts, **numbers, "steps": steps, "extra": {"operator": row["x_operator"]} if row["x_operator"] else {}}
