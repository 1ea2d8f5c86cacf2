"""Forces on faces of the window from a table: an array of the file of the fields, or a CSV or JSON file beside it."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pinn.errors import DataRefusedError
from pinn.stiffness.data import EdgeForce

COLUMNS = ("load", "axis", "side", "component", "value", "sd")
_SIDES = {"near": False, "far": True, "0": False, "1": True, "0.0": False, "1.0": True}
# More lines than any test has: another file was named.
_MOST = 100_000


def forces_of_array(table: np.ndarray, loads: int, place: str) -> list[list[EdgeForce]]:
    """Return the forces of each load from rows of numbers: load, axis, side (0 near, 1 far), component, value, sd.

    Raises:
        DataRefusedError: another shape, or a row that names no face.
    """
    if table.ndim != 2 or table.shape[1] != len(COLUMNS) or table.dtype.kind not in "iuf":
        raise DataRefusedError(
            f"{place} of shape {table.shape}, {table.dtype}: one row a force with {', '.join(COLUMNS)}; side 0 or 1"
        )
    return _sorted([dict(zip(COLUMNS, map(str, row), strict=True)) for row in table.tolist()], loads, place)


def forces_of_file(path: Path, loads: int) -> list[list[EdgeForce]]:
    """Return the forces of each load from a CSV file with a header, or a JSON list of objects; side near or far.

    Raises:
        DataRefusedError: the file is missing or damaged, or a row names no face.
    """
    reader = {".csv": _read_csv, ".json": _read_json}.get(path.suffix.lower())
    if reader is None or not path.is_file():
        raise DataRefusedError(f"--forces {path} is no .csv or .json file with {', '.join(COLUMNS)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        return _sorted(reader(text), loads, str(path))
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise DataRefusedError(f"--forces {path} cannot be read: {error}; columns {', '.join(COLUMNS)}") from error


def _read_csv(text: str) -> list[Mapping[str, Any]]:
    return [dict(row) for row in csv.DictReader(text.splitlines())]


def _read_json(text: str) -> list[Mapping[str, Any]]:
    rows = json.loads(text)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError("no list of objects")
    return rows


def _sorted(rows: list[Mapping[str, Any]], loads: int, place: str) -> list[list[EdgeForce]]:
    if len(rows) > _MOST:
        raise DataRefusedError(f"{place} has {len(rows)} rows; one a force and load is meant")
    found: list[list[EdgeForce]] = [[] for _ in range(loads)]
    for number, row in enumerate(rows):
        load, force = _force(row, f"{place}, force {number}")
        if load not in range(loads):
            raise DataRefusedError(f"{place}, force {number}: {load=}, but the loads are 0 to {loads - 1}")
        found[load].append(force)
    return found


def _force(row: Mapping[str, Any], place: str) -> tuple[int, EdgeForce]:
    odd = set(row) ^ set(COLUMNS)
    if odd:
        raise DataRefusedError(f"{place}: {sorted(map(str, odd))} missing or unknown; columns {', '.join(COLUMNS)}")
    side = str(row["side"]).strip().lower()
    if side not in _SIDES:
        raise DataRefusedError(f"{place}: side {row['side']!r} is neither 'near' (start of the axis) nor 'far'")
    load, axis, component = (_whole(row, name, place) for name in ("load", "axis", "component"))
    value, sd = (_number(row, name, place) for name in ("value", "sd"))
    return load, EdgeForce(axis, _SIDES[side], component, value, sd)


def _whole(row: Mapping[str, Any], name: str, place: str) -> int:
    number = _number(row, name, place)
    if not number.is_integer() or number < 0:
        raise DataRefusedError(f"{place}: {name} {row[name]!r} is no whole number from 0 on")
    return int(number)


def _number(row: Mapping[str, Any], name: str, place: str) -> float:
    try:
        number = float(row[name])
    except (TypeError, ValueError) as error:
        raise DataRefusedError(f"{place}: {name} {row[name]!r} is no number") from error
    if not np.isfinite(number):
        raise DataRefusedError(f"{place}: {name} {row[name]!r} is not finite")
    return number
