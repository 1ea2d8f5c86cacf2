"""A disk that is full: nothing is begun until there is room, and what was computed waits for it in memory."""

import errno
import shutil
import time
from collections.abc import Callable
from pathlib import Path

LITTLE_MB = 10.0  # a batch, its log and its result take a small part of it
POLL_SECONDS = 1.0
FULL = (errno.ENOSPC, errno.EDQUOT)


def room_problem(directory: Path) -> str:
    """Return why nothing should be begun that writes to a folder, which need not exist yet; empty if it can."""
    place = next(folder for folder in (directory, *directory.parents) if folder.exists())
    free_mb = shutil.disk_usage(place).free / 1e6
    return f"{free_mb:.1f} MB left in {place}; make room" if free_mb < LITTLE_MB else ""


def wait_for_room(directory: Path) -> None:
    """Wait until something can be begun that writes to a folder."""
    while room_problem(directory):
        time.sleep(POLL_SECONDS)


def patiently(write: Callable[[], None]) -> None:
    """Write something, again and again while the disk is full: it may have taken hours to compute."""
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in FULL:
                raise
            time.sleep(POLL_SECONDS)
