"""A PostgreSQL server of a test's own: a folder, a port on the loopback, a password."""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg

USER, PASSWORD = "mfal", "between us"


def programs() -> Path | None:
    """Return the folder of initdb and pg_ctl, which Debian keeps off the PATH; None where there is none."""
    found = shutil.which("initdb")
    places = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return next((place for place in places if (place / "initdb").exists() and (place / "pg_ctl").exists()), None)


class Server:
    """A server that can be stopped and started; it refuses to run as root, so root runs it as the user postgres."""

    def __init__(self):
        """Make the cluster and start it."""
        self.folder, self.user = Path(tempfile.mkdtemp(prefix="mfal-postgres-")), None
        if os.getuid() == 0:
            self.user = "postgres"
            shutil.chown(self.folder, self.user)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self._run("initdb", "-D", self.folder / "data", "-A", "scram-sha-256", f"--pwfile={secret}", "-U", USER)
        self.start()

    def start(self):
        """Start it."""
        told = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories={self.folder}"
        self._run("pg_ctl", "-D", self.folder / "data", "-l", self.folder / "log", "-o", told, "-w", "start")

    def stop(self):
        """Stop it as a power cut would."""
        self._run("pg_ctl", "-D", self.folder / "data", "-m", "immediate", "-w", "stop")

    def database(self, name):
        """Make a database and return its address."""
        with psycopg.connect(self.address("postgres"), password=PASSWORD, autocommit=True) as connection:
            connection.execute(f"create database {name}".encode())
        return self.address(name)

    def address(self, name):
        """Return the address of a database."""
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def remove(self):
        """Stop it and remove everything."""
        self.stop()
        shutil.rmtree(self.folder)

    def _run(self, program, *arguments):
        place = programs()
        assert place is not None
        subprocess.run([place / program, *arguments], check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, user=self.user, cwd=self.folder)  # fmt: skip
