"""What a campaign file says of the queue."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from physics.queue.environment import THREADS

SCHEDULERS = {"local": "core.direct", "slurm": "core.slurm"}


@dataclass(frozen=True)
class QueueSettings:
    """Where jobs run, and how many of them.

    Attributes:
        computer: ``local`` or ``slurm``.
        database: address of PostgreSQL without a password; None for SQLite inside the campaign's directory.
        workers: processes of AiiDA that submit and collect.
        in_flight: batches that are handed to AiiDA at once.
        walltime_minutes: of one batch.
        partition: of SLURM; None for its default.
        account: of SLURM.
        gres: of SLURM, such as ``gpu:1``.
        modules: loaded before a job starts.
    """

    computer: str = "local"
    database: str | None = None
    workers: int = 2
    in_flight: int = 4
    walltime_minutes: int = 60
    partition: str | None = None
    account: str | None = None
    gres: str | None = None
    modules: tuple[str, ...] = ()

    @property
    def scheduler(self) -> str:
        """Return AiiDA's name of the scheduler."""
        return SCHEDULERS[self.computer]

    @property
    def walltime_seconds(self) -> int:
        """Return the time of one batch."""
        return 60 * self.walltime_minutes

    def prepended(self) -> list[str]:
        """Return the lines of the job script before the command."""
        threads = " ".join(f"{name}=1" for name in THREADS)
        return [f"export {threads}", *(f"module load {name}" for name in self.modules)]

    def scheduler_options(self) -> dict[str, Any]:
        """Return AiiDA's names of what SLURM is told."""
        named = {"queue_name": self.partition, "account": self.account}
        gres = {"custom_scheduler_commands": f"#SBATCH --gres={self.gres}"} if self.gres else {}
        return {name: value for name, value in named.items() if value} | gres


def settings_from(options: Mapping[str, Any]) -> QueueSettings:
    """Read the campaign file's table ``[dft.queue]``, which is checked already."""
    named = {field.name: options[field.name] for field in fields(QueueSettings) if field.name in options}
    return QueueSettings(**{**named, "modules": tuple(named.get("modules", ()))})
