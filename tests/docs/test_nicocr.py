"""The Ni-Co-Cr example runs in its short form, counts invalid recipes and draws both design spaces."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytest.importorskip("matplotlib")


@pytest.mark.slow
def test_example_runs_and_draws(tmp_path):
    picture = tmp_path / "nicocr.svg"
    command = [sys.executable, "examples/nicocr.py", "--fast", "--output", str(picture)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    simplex, box = re.findall(r"(\d+) of 9 recipes invalid, named best ([\d.]+) HV", done.stdout)
    assert simplex[0] == "0" and int(box[0]) >= 7
    # Between the softest and the hardest alloy there is.
    assert all(183.0 < float(named) <= 234.5 for _, named in (simplex, box))
    text = picture.read_text(encoding="utf-8")
    ElementTree.fromstring(text)
    assert "Simplex: 0 of 9 invalid" in text and "rescaled by hand" in text
