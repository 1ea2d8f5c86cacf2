"""The example of generated dichalcogenides runs, in its short form."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_ratio_that_is_built_in_is_never_refused():
    done = subprocess.run(
        [sys.executable, "examples/dichalcogenides.py", "--fast"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shares = dict(re.findall(r"(free outputs|ratio built in): (\d+)% refused", done.stdout))
    assert shares["ratio built in"] == "0"
    assert int(shares["free outputs"]) > 10
    assert len(re.search(r"new: (.*)", done.stdout)[1].split(", ")) == 10
    assert len(re.findall(r"with niobium: .*Nb 0\.2", done.stdout)) == 2
