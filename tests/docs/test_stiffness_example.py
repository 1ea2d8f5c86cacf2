"""The stiffness example runs in its short form: no number with a unit without a force, the hidden ones with it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
for package in ("matplotlib", "jinja2"):
    pytest.importorskip(package)


def test_example_tells_ratios_and_then_the_constants(tmp_path):
    command = [sys.executable, "examples/infer_stiffness.py", "--fast", "--output", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "constants with a unit: 0" in done.stdout and "not told: Every stiffness may be multiplied" in done.stdout
    found = re.findall(r"^(C\d\d) +(\S+) \((\S+) to (\S+)\) GPa, hidden (\S+)$", done.stdout, re.MULTILINE)
    assert found
    for name, value, low, high, hidden in found:
        # One seed: its 95 % interval may miss, twice the interval around its middle must not.
        assert abs(float(hidden) - float(value)) < float(high) - float(low), name
    for folder in ("ratios", "absolute"):
        record = json.loads((tmp_path / folder / "stiffness.json").read_text(encoding="utf-8"))
        assert record["trusted"], record["checks"]
        assert (tmp_path / folder / "stiffness.html").stat().st_size > 50_000
