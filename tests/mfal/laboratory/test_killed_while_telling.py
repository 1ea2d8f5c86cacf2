"""Kill -9 in the middle of telling: all of a file is there or nothing, and telling it again completes it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mfal.laboratory.tell import tell
from mfal.laboratory.told import LABORATORY, read_told
from mfal.ledger import read_events, verify
from tests.mfal.laboratory import door

ROOT = Path(__file__).parents[3]
TELL = """
import os, signal, sys
from pathlib import Path
from mfal.laboratory.tell import tell
from mfal.ledger import chain, seal, store, table

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def after(function):
    return lambda *arguments: (function(*arguments), die())

{point}
tell(Path(sys.argv[1]), Path(sys.argv[2]).read_bytes(), "json", "results.json", False)
"""
# Where the process dies, and whether the results are on the disk by then.
POINTS = {
    "while the ledger is made": ("store._create_tables = after(store._create_tables)", False),
    "once the ledger is made": ("store.write_seal = die", False),
    "before the results are written": ("table.insert_events = die", False),
    "with the results written and not committed": ("table.insert_events = after(table.insert_events)", False),
    "with the results committed": ("store.Ledger.append_many = after(store.Ledger.append_many)", True),
}


@pytest.mark.parametrize(("point", "there"), POINTS.values(), ids=POINTS)
def test_a_killed_tell_has_recorded_all_or_nothing(tmp_path, point, there):
    campaign = door.prepared(tmp_path / "campaign")
    names = door.ids(campaign)
    content = door.document(*(door.row(names[one]) for one in door.CANDIDATES))
    (tmp_path / "results.json").write_bytes(content)
    command = [sys.executable, "-c", TELL.format(point=point), campaign, tmp_path / "results.json"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    told = read_told(campaign).revisions
    assert len(told) == (len(door.CANDIDATES) if there else 0)
    receipt = tell(campaign, content, "json", "results.json", False)
    assert len(receipt.repeated if there else receipt.results) == len(door.CANDIDATES)
    assert len(read_events(campaign / LABORATORY)) == 1
    assert all(len(revisions) == 1 for revisions in read_told(campaign).revisions.values())
    verify(campaign / LABORATORY)
