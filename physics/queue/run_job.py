"""A worker process: ``python -m physics.queue.run_job BATCH.json`` computes the jobs in the file one after another.

Jobs whose kind ends in ``[]`` are computed together: its function takes all their specs and returns as many results.

A job is computed under the lock of its result and while holding one of the slots, so that neither a process left over
from a killed campaign nor a second campaign computes the same thing twice or takes more than its share of the machine.
Locks are taken in the order result, slot; a slot is freed before the next result is asked for.
"""

import importlib
import json
import signal
import sys
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from physics.queue.result_cache import Result, ResultCache, Spec, content_hash, lock

SLOT_POLL_SECONDS = 0.1
TOGETHER = "[]"  # at the end of a kind


def main(batch_file: str) -> int:
    """Compute a batch.

    Args:
        batch_file: JSON with ``cache``, ``slots`` (a folder), ``workers``, ``limit_seconds`` and ``jobs``, each with
            ``kind``, ``spec`` and ``payer``. Optional: ``node``, which every result will carry, and ``results``, a
            file for them.

    Returns:
        0 where every job has a result, otherwise 1; tracebacks are on standard error.
    """
    batch = json.loads(Path(batch_file).read_bytes())
    cache = ResultCache(Path(batch["cache"]))
    for kind in dict.fromkeys(job["kind"] for job in batch["jobs"] if job["kind"].endswith(TOGETHER)):
        _attempt_together(cache, kind, batch)
    busy = [job for job in batch["jobs"] if not _attempt(cache, job, batch, wait=False)]
    # what another process was computing is looked at last: usually it has been finished meanwhile
    broken = [job for job in busy if job.get("error") or not _attempt(cache, job, batch, wait=True)]
    if "results" in batch:
        keys = [content_hash(job["kind"], job["spec"]) for job in batch["jobs"]]
        found = {key: result for key in keys if (result := cache.read(key)) is not None}
        Path(batch["results"]).write_text(json.dumps(found))
    return 1 if broken else 0


def resolve(kind: str) -> Any:
    """Return the function named by a job's kind, ``package.module:function`` or ``package.module:function[]``.

    Raises:
        ValueError: the kind has another form.
    """
    module, separator, function = kind.removesuffix(TOGETHER).partition(":")
    if not separator:
        raise ValueError(f"{kind=} is not of the form package.module:function")
    return getattr(importlib.import_module(module), function)


@contextmanager
def slot(directory: Path, workers: int) -> Iterator[int]:
    """Wait for one of `workers` slots and hold it; the kernel frees it when the process dies."""
    directory.mkdir(parents=True, exist_ok=True)
    while True:
        for number in range(workers):
            with (directory / f"{number}.slot").open("a") as stream:
                if lock(stream.fileno(), wait=False):
                    yield number
                    return
        time.sleep(SLOT_POLL_SECONDS)


def _attempt_together(cache: ResultCache, kind: str, batch: Mapping[str, Any]) -> None:
    """Compute at once all jobs of a kind that no other process is computing; each result is stored by itself."""
    jobs = [job for job in batch["jobs"] if job["kind"] == kind]
    try:
        payers = {content_hash(kind, job["spec"]): _payer(job) for job in jobs}

        def compute(specs: Sequence[Spec]) -> list[Result]:
            found = _compute(kind, specs, batch)
            return [one | payers[content_hash(kind, spec)] for one, spec in zip(found, specs, strict=True)]

        cache.compute_many(kind, [job["spec"] for job in jobs], compute)
    except Exception:  # then each is tried alone
        traceback.print_exc()


def _attempt(cache: ResultCache, job: dict[str, Any], batch: Mapping[str, Any], wait: bool) -> bool:
    try:
        return cache.compute_once(job["kind"], job["spec"], lambda: _compute_one(job, batch), wait) is not None
    except Exception:  # the other jobs of the batch are none the worse
        traceback.print_exc()
        job["error"] = True
        return False


def _compute_one(job: Mapping[str, Any], batch: Mapping[str, Any]) -> Result:
    together = job["kind"].endswith(TOGETHER)
    found = _compute(job["kind"], [job["spec"]] if together else job["spec"], batch)
    return (found[0] if together else found) | _payer(job)


def _payer(job: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a result says of the query that caused it: whoever finds it later has nothing to pay."""
    return {"payer": job["payer"]} if job.get("payer") else {}


def _compute(kind: str, asked: Any, batch: Mapping[str, Any]) -> Any:
    with slot(Path(batch["slots"]), batch["workers"]):
        signal.alarm(int(batch["limit_seconds"]))  # the default action ends the process, also inside compiled code
        try:
            found = resolve(kind)(asked)
        finally:
            signal.alarm(0)
    node = {"node": batch["node"]} if "node" in batch else {}
    return [one | node for one in found] if kind.endswith(TOGETHER) else found | node


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
