"""One writer a ledger: an advisory lock that dies with its process."""

import fcntl
import os
from pathlib import Path

from mfal.errors import LedgerBusyError, LedgerError

_held: set[int] = set()


def acquire(path: Path) -> int:
    """Take the lock file at `path` and return its descriptor; the file stays when the lock goes.

    Raises:
        LedgerBusyError: another writer has it; the message names its process.
        LedgerError: the directory is not writable.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}; give a directory that you may write") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
        os.close(descriptor)
        who = f"another mfal process with pid {pid} is running the campaign in {path.parent}"
        raise LedgerBusyError(f"{who}; wait for it or stop it") from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    _held.add(descriptor)
    return descriptor


def release(descriptor: int) -> None:
    """Give the lock back."""
    _held.discard(descriptor)
    os.close(descriptor)


def _close_in_child() -> None:
    # A forked worker shares the lock: were it to outlive a killed campaign, nobody could resume.
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)
