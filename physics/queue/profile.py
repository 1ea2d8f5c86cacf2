"""AiiDA's profile inside a campaign's directory. Runs only where AIIDA_PATH was set before AiiDA was imported."""

import sys
from pathlib import Path
from typing import Any

from aiida import load_profile
from aiida.common.exceptions import NotExistent
from aiida.manage.configuration import create_profile, get_config
from aiida.orm import Computer, InstalledCode, load_code, load_computer
from aiida.plugins import BrokerFactory

from physics.queue.environment import search_path
from physics.queue.settings import QueueSettings
from physics.queue.storage import require_own, storage

NAME = "mfal"
CODE = "python"
POLL_SECONDS = 1
OPTIONS = {
    "runner.poll.interval": POLL_SECONDS,
    # After 15 s instead of 300 a batch is paused; it is played again once what failed works again.
    "transport.task_maximum_attempts": 3,
    "transport.task_retry_initial_interval": 5,
}


def open_profile(root: Path, settings: QueueSettings) -> None:
    """Load the profile of a campaign; make it first if there is none.

    Raises:
        DatabaseError: it would be in a database that cannot be used.
    """
    config = get_config(create=True)
    if NAME not in config.profile_names:
        require_own(root, settings)
        backend, told = storage(root, settings)
        create_profile(
            config, name=NAME, email="mfal@localhost", storage_backend=backend, storage_config=told,
            broker_backend="core.zeromq", broker_config=BrokerFactory("core.zeromq").get_default_config(),
        )  # fmt: skip
        for option, value in OPTIONS.items():
            config.set_option(option, value, scope=NAME)
        config.set_default_profile(NAME, overwrite=True)
        config.store()
    load_profile(NAME)


def code_for(root: Path, settings: QueueSettings) -> InstalledCode:
    """Return this Python on the computer that the settings name; set both up first if need be."""
    computer = _computer(root, settings)
    try:
        return load_code(f"{CODE}@{computer.label}")  # pyright: ignore[reportReturnType]
    except NotExistent:
        prepend = "\n".join([f"export PYTHONPATH={search_path()}", *settings.prepended()])
        code = InstalledCode(
            label=CODE, computer=computer, filepath_executable=sys.executable, default_calc_job_plugin="mfal.batch",
            prepend_text=prepend, with_mpi=False,
        )  # fmt: skip
        return code.store()


def _computer(root: Path, settings: QueueSettings) -> Computer:
    try:
        return load_computer(settings.computer)
    except NotExistent:
        computer = Computer(
            label=settings.computer, hostname="localhost", transport_type="core.local",
            scheduler_type=settings.scheduler, workdir=str(root / "scratch"),
        ).store()  # fmt: skip
        computer.configure(safe_interval=0, use_login_shell=False)
        computer.set_minimum_job_poll_interval(POLL_SECONDS)
        computer.set_default_mpiprocs_per_machine(1)
        return computer


def options(settings: QueueSettings) -> dict[str, Any]:
    """Return what AiiDA is told of every batch."""
    resources = {"num_machines": 1, "num_mpiprocs_per_machine": 1}
    scheduler = settings.scheduler_options()
    return {"max_wallclock_seconds": settings.walltime_seconds, "resources": resources, **scheduler}
