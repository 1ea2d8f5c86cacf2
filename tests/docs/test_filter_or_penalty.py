"""The example of the two orders runs on the measured energies, and its two top tens are what it says they are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("pymatgen")


def run(*arguments):
    command = [sys.executable, "examples/filter_or_penalty.py", "--draws", "3", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def tens(said):
    """Return (name, gain in meV, USD/kg, too dear) of both lists."""
    entry = re.compile(r"([A-Z]\w+)\s+([\d.]+) meV\s+(\d+) USD/kg( !)?")
    rows = [line for line in said.splitlines() if re.match(r"\s*\d+  ", line) and "meV" in line]
    found = [[(n, float(g), int(p), bool(dear)) for n, g, p, dear in entry.findall(row)] for row in rows]
    return [row[0] for row in found], [row[1] for row in found]


def test_the_two_orders_name_different_alloys_and_say_why():
    said = run()
    first, soft = tens(said)
    assert len(first) == len(soft) == 10
    for ten in (first, soft):
        gains = [gain for _, gain, _, _ in ten]
        assert gains == sorted(gains, reverse=True)
        assert all(dear == (price > 1000) for _, _, price, dear in ten)
    assert not any(dear for *_, dear in first)
    assert sum(dear for *_, dear in soft) >= 5
    shared = {name for name, *_ in first} & {name for name, *_ in soft}
    assert len(shared) <= 5 and f"in both lists: {len(shared)} (" in said
    # What has to be beaten is lower, so harder to beat, where the price does not count.
    beaten = [float(value) for value in re.findall(r"to beat \w+ \((-[\d.]+)", said)]
    assert beaten[1] < beaten[0]


def test_a_penalty_without_mercy_names_nothing_dear_and_still_ranks_otherwise():
    first, soft = tens(run("--beta", "1"))
    assert not any(dear for *_, dear in soft)
    assert [name for name, *_ in first][: len(soft)] != [name for name, *_ in soft]
