"""Finished calculations by content hash: written atomically, computed once, shared by all processes."""

import contextlib
import fcntl
import hashlib
import heapq
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from physics.queue.room import patiently

NAME_DIGITS = 16  # of a content hash, where a calculation is named
Spec = Mapping[str, Any]
Result = dict[str, Any]


def content_hash(kind: str, spec: Spec) -> str:
    """Return the SHA-256 of the canonical JSON of a job, hexadecimal.

    Raises:
        ValueError: the spec holds NaN or infinity.
        TypeError: the spec holds something that is not JSON.
    """
    text = json.dumps([kind, spec], sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class ResultCache:
    """A folder of results, one JSON file each.

    Attributes:
        directory: the folder; made when first written.
    """

    directory: Path

    def path(self, key: str) -> Path:
        """File of the result `key`."""
        return self.directory / key[:2] / f"{key}.json"

    def read(self, key: str) -> Result | None:
        """Return a result, or None where there is none; a damaged file is moved aside and counts as none."""
        path = self.path(key)
        with contextlib.suppress(_DamagedError):
            return _load(path, key)
        with self.locked(key, "move"):
            try:
                return _load(path, key)  # another process may have moved it and computed it anew
            except _DamagedError:
                os.replace(path, path.with_suffix(".damaged"))
        return None

    def write(self, key: str, kind: str, spec: Spec, result: Result) -> None:
        """Store a result together with what was asked, once the disk has room; the file appears whole or not at all."""
        record = {"key": key, "kind": kind, "spec": spec, "result": result, "sha256": digest(result)}
        patiently(lambda: _write(self.path(key), json.dumps(record, allow_nan=False)))

    def latest(self, kind: str, most: int) -> list[tuple[Spec, Result]]:
        """Return specs and results of a kind among the `most` files that were written last."""
        paths = heapq.nlargest(most, self.directory.glob("??/*.json"), key=lambda path: path.stat().st_mtime)
        found = (_record(path) for path in paths)
        return [(record["spec"], record["result"]) for record in found if record.get("kind") == kind]

    def compute_once(self, kind: str, spec: Spec, compute: Callable[[], Result], wait: bool = True) -> Result | None:
        """Return the stored result, or compute and store it while no other process can.

        Args:
            kind: what is computed.
            spec: for which input.
            compute: does the work.
            wait: wait for another process that is computing the same; otherwise return None.
        """
        key = content_hash(kind, spec)
        with self.locked(key, "lock", wait) as owned:
            if not owned:
                return None
            result = self.read(key)
            if result is None:
                result = compute()
                self.write(key, kind, spec, result)
            return result

    def compute_many(
        self, kind: str, specs: Sequence[Spec], compute: Callable[[Sequence[Spec]], Sequence[Result]]
    ) -> None:
        """Compute together, and store one by one, all specs without a result that no other process is computing."""
        with ExitStack() as held:
            owned = [spec for spec in specs if held.enter_context(self.locked(content_hash(kind, spec), "lock", False))]
            missing = [spec for spec in owned if self.read(content_hash(kind, spec)) is None]
            for spec, result in zip(missing, compute(missing) if missing else [], strict=True):
                self.write(content_hash(kind, spec), kind, spec, result)

    @contextmanager
    def locked(self, key: str, suffix: str, wait: bool = True) -> Iterator[bool]:
        """Hold the lock file of a result; yields whether it was got. The kernel frees it when the process dies."""
        path = self.path(key).with_suffix(f".{suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as stream:
            yield lock(stream.fileno(), wait)


def lock(descriptor: int, wait: bool) -> bool:
    """Take an exclusive lock on an open file; return whether it was got. Closing the file frees it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True


def _record(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):  # moved meanwhile, or damaged
        return {}


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with temporary.open("w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


class _DamagedError(Exception):
    pass


def _load(path: Path, key: str) -> Result | None:
    try:
        record = json.loads(path.read_bytes())
        if record["key"] == key and record["sha256"] == digest(record["result"]):
            return record["result"]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise _DamagedError from error
    raise _DamagedError


def digest(result: Result) -> str:
    """Return the SHA-256 that is stored with a result, hexadecimal."""
    return hashlib.sha256(json.dumps(result, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
