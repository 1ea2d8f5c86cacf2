"""The inference example runs in its short form: no number without a scale, the hidden ones with it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
for package in ("matplotlib", "jinja2", "tifffile"):
    pytest.importorskip(package)


def test_example_tells_the_ridge_and_then_the_parameters(tmp_path):
    command = [sys.executable, "examples/infer_morphology.py", "--fast", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "numbers for M, kappa, W alone: 0" in done.stdout and "not told: " in done.stdout
    found = re.findall(r"^(\w+) +\S+ \((\S+) to (\S+)\) .*, hidden (\S+)$", done.stdout, re.MULTILINE)
    assert {name for name, *_ in found} >= {"M", "kappa", "W"}
    for name, low, high, hidden in found:
        # One seed: its 95 % interval may miss, twice the interval around its middle must not.
        middle, half = (float(low) + float(high)) / 2, (float(high) - float(low)) / 2
        assert abs(float(hidden) - middle) < 2 * half, name
    assert (tmp_path / "inference.html").stat().st_size > 50_000
