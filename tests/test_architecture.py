"""The shape of the code base: layers, style, types, spelling, length, and no trace of one machine."""

import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WARN_LINES, FAIL_LINES = 400, 600

# Spelt so that this file does not match itself: an index by its address or by an option, and where this checkout lies.
PACKAGE_INDEX = re.compile(r"-(?:index|extra)-u" + r"rl|--find-l" + r"inks|://[^\s\"']*/(?:simple|whl)\b")
_FOLDERS = {ROOT, ROOT.parent, Path.home()} - {Path("/"), Path("/tmp"), Path("/home")}
MACHINE_PATHS = re.compile("|".join(re.escape(f"{folder}/") for folder in sorted(_FOLDERS)))

SLOW_IMPORTS = {
    "ase",
    "chgnet",
    "fastapi",
    "flax",
    "gpaw",
    "gpjax",
    "jax",
    "matplotlib",
    "numpy",
    "pandas",
    "pydantic",
    "pymatgen",
    "rich",
    "scipy",
    "sqlalchemy",
    "torch",
    "uvicorn",
}


def test_layers_import_downwards():
    _passes(_tool("lint-imports"), "--no-cache")


def test_ruff_finds_nothing():
    _passes(_tool("ruff"), "check", "--no-cache", "--output-format", "concise", ".")


def test_pyright_finds_nothing():
    _passes(sys.executable, "-m", "pyright", "--pythonpath", sys.executable)


def test_codespell_finds_nothing():
    _passes(_tool("codespell"), *_tracked())


def test_the_command_line_starts_without_heavy_packages():
    code = "import json, sys, mfal.cli; print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    loaded = json.loads(_passes(sys.executable, "-c", code))
    assert "mfal" in loaded
    assert not SLOW_IMPORTS.intersection(loaded)


@pytest.mark.parametrize("pattern", [PACKAGE_INDEX, MACHINE_PATHS], ids=["index", "paths"])
def test_no_file_names_a_package_index_or_a_path_of_one_machine(pattern):
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in _tracked()
        for number, line in enumerate(_text(path).splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


def test_the_search_for_package_indexes_would_find_them():
    scheme = "https" + "://"
    assert PACKAGE_INDEX.search("pip install --extra-index" + "-url x")
    assert PACKAGE_INDEX.search(f"{scheme}example.org/simple")
    assert not PACKAGE_INDEX.search(f"{scheme}example.org/a-simple-page")
    assert MACHINE_PATHS.search(f"{ROOT}/mfal")


@pytest.mark.filterwarnings("default:long module")
def test_modules_are_short():
    lengths = {path: _text(path).count("\n") for path in _tracked() if path.endswith(".py")}
    for path, length in lengths.items():
        if WARN_LINES < length <= FAIL_LINES:
            warnings.warn(f"long module {path}: {length} lines; split it before {FAIL_LINES}", stacklevel=1)
    assert not {path: length for path, length in lengths.items() if length > FAIL_LINES}


def test_the_lock_pins_every_package_with_a_hash():
    entries = (ROOT / "requirements.lock").read_text().replace("\\\n", " ").splitlines()
    pinned = [line for line in entries if line and not line.lstrip().startswith("#")]
    assert len(pinned) > 50
    assert not [line[:80] for line in pinned if "==" not in line or "--hash=sha256:" not in line]
    assert any(line.startswith("torch==2.13.0 ") for line in pinned)


def _passes(*command: str | Path) -> str:
    """Run a command at the root of the repository and return what it printed; fail with all of it otherwise."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    if done.returncode:
        pytest.fail(f"{Path(command[0]).name} exits {done.returncode}\n{done.stdout}{done.stderr}", pytrace=False)
    return done.stdout


def _tool(name: str) -> str:
    """Return the program of this environment, whether or not the environment is activated."""
    path = shutil.which(name, path=Path(sys.executable).parent)
    assert path, f"{name} is missing beside {sys.executable}; build the environment with: make env"
    return path


def _tracked() -> list[str]:
    """Return the files that are, or are about to be, under version control."""
    listing = ["git", "-c", f"safe.directory={ROOT}", "ls-files", "--cached", "--others", "--exclude-standard"]
    done = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"this is not a git checkout: {done.stderr.strip()}")
    return [path for path in sorted(set(done.stdout.splitlines())) if (ROOT / path).is_file()]


def _text(path: str) -> str:
    """Return the contents of a text file; nothing of a binary one."""
    try:
        return (ROOT / path).read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""
