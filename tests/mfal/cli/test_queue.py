"""``mfal queue``: what a plug-in says of itself is told, and its trouble is the exit status."""

import pytest

from mfal.cli import main, queue
from mfal.queueing import Check, QueueStatus


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
