"""Job kinds for the queue's tests; each call leaves a mark in a folder."""

import os
import time
from pathlib import Path


def echo(spec):
    """Sleep, then return the value; marks start and end."""
    marks = Path(spec["marks"])
    _mark(marks, "start")
    time.sleep(spec.get("seconds", 0.0))
    _mark(marks, "end")
    return {"value": spec["value"]}


def die_first(spec):
    """Die without a word on the first call, answer on the second."""
    marks = Path(spec["marks"])
    _mark(marks, "start")
    if len(list(marks.glob("start*"))) == 1:
        os._exit(9)
    return {"value": spec["value"]}


def explode(spec):
    """Raise."""
    _mark(Path(spec["marks"]), "start")
    raise RuntimeError("boom")


def refuse(spec):
    """Answer with a failure."""
    _mark(Path(spec["marks"]), "start")
    return {"failure": "did not converge"}


def _mark(marks, word):
    marks.mkdir(parents=True, exist_ok=True)
    (marks / f"{word}-{time.monotonic_ns()}-{os.getpid()}").touch()


def echo_many(specs):
    """Return the values of all; marks one start for all of them, and breaks where one says so."""
    _mark(Path(specs[0]["marks"]).parent, f"together-{len(specs)}")
    if any(spec.get("boom") for spec in specs):
        raise RuntimeError("boom")
    return [{"value": spec["value"]} for spec in specs]
