"""The example of an instrument runs, in its short form, against a real server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_instrument_measures_until_the_campaign_has_had_enough(tmp_path):
    command = [sys.executable, ROOT / "examples/instrument.py", "--fast"]
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 answers for EUR 2,400.00" in done.stdout
    assert "equal bit for bit" in done.stdout
