"""SLURM on this machine alone, for a test: loopback, ports of its own, no cgroups, no accounting."""

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sinfo", "sbatch", "squeue", "scontrol")
CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/munge.sock
CredType=cred/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort={controller_port}
SlurmdPort={node_port}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0
MpiDefault=none
ReturnToService=2
NodeName=localhost NodeAddr=127.0.0.1 CPUs=2 RealMemory=500 State=UNKNOWN
PartitionName=test Nodes=localhost Default=YES MaxTime=INFINITE State=UP
"""


def reason():
    """Return why SLURM cannot be started here; empty if it can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing:
        return f"{', '.join(missing)} of SLURM and munge are not installed"
    return "" if os.getuid() == 0 else "SLURM's daemons need root"


class Cluster:
    """A controller and a node; the controller can be stopped, killed and started again."""

    def __init__(self, folder: Path):
        """Start everything and wait for the node."""
        self.folder, self.conf = folder, folder / "slurm.conf"
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir(parents=True)
        ports = dict(zip(("controller_port", "node_port"), _free_ports(2), strict=True))
        self.conf.write_text(CONF.format(folder=folder, **ports))
        key = folder / "munge" / "munge.key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        place = folder / "munge"
        self._run("munged", "--force", f"--key-file={key}", f"--socket={place}/munge.sock",
                  f"--pid-file={place}/munged.pid", f"--log-file={place}/log", f"--seed-file={place}/seed")  # fmt: skip
        self.start()
        self._run("slurmd", "-N", "localhost", "-f", self.conf)
        self.wait()

    def start(self):
        """Start the controller."""
        self._run("slurmctld", "-f", self.conf)

    def signal(self, number):
        """Send a signal to the controller."""
        os.kill(int((self.folder / "slurmctld.pid").read_text()), number)

    def wait(self):
        """Wait until the node takes jobs."""
        until = time.monotonic() + 60
        while not (state := self._state()).startswith(("idle", "mix", "alloc")):
            assert time.monotonic() < until, state
            time.sleep(0.5)

    def resume(self):
        """Do what an administrator does: a controller that was killed forgets jobs, and drains their node for them."""
        if self._state().startswith("drain"):
            self._run("scontrol", "update", "nodename=localhost", "state=resume")

    def remove(self):
        """Stop everything."""
        for name in ("slurmd.pid", "slurmctld.pid", "munge/munged.pid"):
            path = self.folder / name
            if path.exists():
                os.kill(int(path.read_text()), signal.SIGTERM)

    def _state(self):
        done = subprocess.run(["sinfo", "-h", "-o", "%T"], env=self._environment(), capture_output=True, text=True,
                              check=False)  # fmt: skip
        return done.stdout.strip()

    def _run(self, *command):
        subprocess.run(command, env=self._environment(), check=True)

    def _environment(self):
        return os.environ | {"SLURM_CONF": str(self.conf), "PATH": f"{os.environ['PATH']}:/usr/sbin"}


def _free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
