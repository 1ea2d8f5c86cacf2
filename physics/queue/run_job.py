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
from physics.queue.room import patiently, wait_for_room

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
    wait_for_room(cache.directory)
    for kind in dict.fromkeys(job["kind"] for job in batch["jobs"] if job["kind"].endswith(TOGETHER)):
        _attempt_together(cache, kind, batch)
    busy = [job for job in batch["jobs"] if not _attempt(cache, job, batch, wait=False)]
    # what another process was computing is looked at last: usually it has been finished meanwhile
    broken = [job for job in busy if job.get("error") or not _attempt(cache, job, batch, wait=True)]
    if "results" in batch:
        keys = [content_hash(job["kind"], job["spec"]) for job in batch["jobs"]]
        found = {key: result for key in keys if (result := cache.read(key)) is not None}
        patiently(lambda: _write(Path(batch["results"]), json.dumps(found)))
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


def _write(path: Path, text: str) -> None:
    path.write_text(text)


def _attempt_together(cache: ResultCache, kind: str, batch: Mapping[str, Any]) -> None:
    """Compute at once all jobs of a kind that no other process is computing; each result is stored by itself."""
    jobs = {content_hash(kind, job["spec"]): job for job in batch["jobs"] if job["kind"] == kind}

    def compute(specs: Sequence[Spec]) -> list[Result]:
        return _compute(kind, [jobs[content_hash(kind, spec)] for spec in specs], batch)

    try:
        cache.compute_many(kind, [job["spec"] for job in jobs.values()], compute)
    except Exception:  # then each is tried alone
        traceback.print_exc()


def _attempt(cache: ResultCache, job: dict[str, Any], batch: Mapping[str, Any], wait: bool) -> bool:
    kind, spec = job["kind"], job["spec"]
    try:
        return cache.compute_once(kind, spec, lambda: _compute(kind, [job], batch)[0], wait) is not None
    except Exception:  # the other jobs of the batch are none the worse
        traceback.print_exc()
        job["error"] = True
        return False


def _compute(kind: str, jobs: Sequence[Mapping[str, Any]], batch: Mapping[str, Any]) -> list[Result]:
    """Compute jobs of a kind, one unless the kind takes many; each result says where it comes from."""
    specs = [job["spec"] for job in jobs]
    with slot(Path(batch["slots"]), batch["workers"]):
        signal.alarm(int(batch["limit_seconds"]))  # the default action ends the process, also inside compiled code
        try:
            found = resolve(kind)(specs) if kind.endswith(TOGETHER) else [resolve(kind)(*specs)]
        finally:
            signal.alarm(0)
    return [one | _origin(job, batch) for one, job in zip(found, jobs, strict=True)]


def _origin(job: Mapping[str, Any], batch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the node, and the query that pays: whoever finds the result later has nothing to pay."""
    named = {"node": batch.get("node"), "payer": job.get("payer")}
    return {name: value for name, value in named.items() if value}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
