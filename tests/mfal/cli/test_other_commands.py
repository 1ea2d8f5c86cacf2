"""Commands of other packages: found by entry point, loaded only when asked for, and never in the way of mfal's own."""

import json
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

import mfal.cli
from tests.test_architecture import SLOW_IMPORTS

LOADED = []


def add_to(commands):
    """Register a command that says what it was told; this module is the one that the entry points name."""
    LOADED.append("greet")
    parser = commands.add_parser("greet", help="greet somebody")
    parser.add_argument("name")
    parser.set_defaults(command=lambda options: print(f"hello {options.name}") or 0)


@pytest.fixture
def points(monkeypatch):
    """Let entry points name this module, a package that is not there, and one of mfal's own commands."""
    LOADED.clear()
    names = {"greet": __name__, "broken": "no_such_package.commands", "run": __name__}
    found = [EntryPoint(name, value, "mfal.commands") for name, value in names.items()]
    monkeypatch.setattr(mfal.cli, "entry_points", lambda group: found if group == "mfal.commands" else [])


def test_a_command_of_another_package_runs(points, capsys):
    assert mfal.cli.main(["greet", "you"]) == 0
    assert capsys.readouterr().out == "hello you\n"


def test_own_commands_load_no_other_package(points, tmp_path):
    assert mfal.cli.main(["status", str(tmp_path)]) == 1
    assert LOADED == []


def test_help_lists_what_works_and_names_what_does_not(points, capsys):
    with pytest.raises(SystemExit) as ended:
        mfal.cli.main(["--help"])
    said = capsys.readouterr()
    assert ended.value.code == 0 and "greet somebody" in said.out
    assert "broken of no_such_package.commands cannot be loaded" in said.err
    assert "may not replace the command run" in said.err


def test_help_with_inference_loads_nothing_heavy():
    point = "m.EntryPoint('infer', 'pinn.command', 'mfal.commands')"
    code = f"""if True:
        import json, sys
        import importlib.metadata as m
        import mfal.cli
        mfal.cli.entry_points = lambda group: [{point}]
        try:
            mfal.cli.main(["--help"])
        except SystemExit:
            print()
        print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    *help_lines, modules = done.stdout.splitlines()
    assert "phase-field parameters, with their uncertainty" in " ".join(" ".join(help_lines).split())
    assert not SLOW_IMPORTS.intersection(json.loads(modules))
