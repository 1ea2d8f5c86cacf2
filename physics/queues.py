"""The job queue of a campaign for people: the entry point of `mfal queue`."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mfal.errors import OracleError
from mfal.oracle import need_package
from mfal.queueing import Check, QueueStatus
from physics.queue.client import Bridge, QueueError
from physics.queue.settings import QueueSettings, settings_from
from physics.queue.slurm import slurm_problem

LITTLE_GB = 1.0


def aiida(directory: Path, options: Mapping[str, Any]) -> "AiidaService":
    """Return the service of a campaign.

    Raises:
        MissingExtraError: AiiDA is not installed.
    """
    need_package("aiida", "queue")
    return AiidaService(directory.resolve(), settings_from(options))


class AiidaService:
    """AiiDA's daemon of one campaign."""

    def __init__(self, directory: Path, settings: QueueSettings):
        self._root, self._settings = directory / "aiida", settings

    def start(self) -> None:
        """Start the daemon unless it runs."""
        self._ask("start")

    def stop(self) -> None:
        """Stop the daemon; jobs under way go on."""
        self._ask("stop")

    def status(self) -> QueueStatus:
        """Look without changing anything."""
        return QueueStatus(**self._ask("status"))

    def doctor(self) -> Sequence[Check]:
        """Look at disk, SLURM, profile, database, daemon, workers and forgotten batches."""
        return [self._disk(), *self._slurm(), *self._inside()]

    def _inside(self) -> list[Check]:
        try:
            return [Check(name, problem) for name, problem in self._ask("doctor").items()]
        except OracleError as error:
            return [Check("profile", str(error))]

    def _disk(self) -> Check:
        self._root.mkdir(parents=True, exist_ok=True)
        free_gb = shutil.disk_usage(self._root).free / 1e9
        return Check("disk", f"{free_gb:.2f} GB left in {self._root}; make room" if free_gb < LITTLE_GB else "")

    def _slurm(self) -> list[Check]:
        return [Check("slurm", slurm_problem())] if self._settings.computer == "slurm" else []

    def _ask(self, do: str) -> Any:
        bridge = Bridge(self._root, self._settings)
        try:
            return bridge.ask(do)
        except QueueError as error:
            raise OracleError(str(error)) from error
        finally:
            bridge.close()
