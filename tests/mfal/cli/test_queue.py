"""``mfal queue``: what a plug-in says of itself is told, and its trouble is the exit status."""

from pathlib import Path

import pytest

from mfal.campaign.config import parse
from mfal.cli import main, queue
from mfal.errors import CampaignFileError
from mfal.queueing import Check, QueueStatus
from tests import synthetic


class Service:
    """A queue that can be started and stopped, with a disk that is full."""

    def __init__(self):
        self.runs = False

    def start(self):
        self.runs = True

    def stop(self):
        self.runs = False

    def status(self):
        return QueueStatus(self.runs, 2 * self.runs, {"finished": 3, "waiting": 1})

    def doctor(self):
        return [Check("disk", "is full; make room"), Check("daemon")]


def test_a_local_queue_has_nothing_to_start(finished, capsys):
    assert main(["queue", "start", str(finished)]) == 0
    assert "nothing to start" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("start", 0, "daemon runs, 2 workers; batches: 3 finished, 1 waiting"),
        ("stop", 0, "daemon does not run, 0 workers"),
        ("status", 0, "daemon does not run"),
        ("doctor", 1, "wrong  disk: is full; make room\nfine   daemon\n"),
    ],
)
def test_what_the_service_says_is_told(capsys, what, code, words):
    assert queue._DO[what](Service()) == code
    assert words in capsys.readouterr().out


def test_no_campaign_no_queue(tmp_path, capsys):
    assert main(["queue", "status", str(tmp_path)]) == 1
    assert str(tmp_path) in capsys.readouterr().err


def with_queue(**table):
    return parse({**synthetic.RAW, "dft": {"queue": table}}, Path("my.toml")).dft.queue


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"engine": "local", "computer": "slurm"}, "computer = 'slurm' is reached by engine = 'aiida'"),
        ({"engine": "local", "database": "postgresql://me@host/name"}, "a database is used by engine = 'aiida'"),
        ({"engine": "aiida", "database": "mysql://me@host/name"}, "postgresql://USER@HOST:PORT/NAME"),
        ({"engine": "aiida", "database": "postgresql://host/name"}, "postgresql://USER@HOST:PORT/NAME"),
        ({"engine": "aiida", "database": "postgresql://me:secret@host/name"}, "set PGPASSWORD"),
    ],
)
def test_a_queue_that_cannot_be_is_refused(table, words):
    with pytest.raises(CampaignFileError, match=r"my\.toml") as caught:
        with_queue(**table)
    assert words in str(caught.value) and "secret" not in str(caught.value)


@pytest.mark.parametrize("address", ["postgresql://me@db.example.org:5433/mfal_1", "postgresql://me@/mfal"])
def test_an_address_of_postgresql_is_accepted(address):
    assert with_queue(engine="aiida", database=address).database == address
