"""Every campaign file loads; the example of the README really runs (slow), with CHGNet and GPAW and fewer compounds."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from mfal.campaign.config import load
from mfal.ledger import EventKind, read_events

ROOT = Path(__file__).parents[2]


def mfal(*arguments: object) -> str:
    command = [sys.executable, "-m", "mfal.cli", *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*.toml")), ids=lambda file: file.stem)
def test_campaign_files_are_right_in_both_forms(file):
    load(file)
    load(file, fast=True)


def test_the_ladder_of_functionals_is_right_with_its_last_functional(tmp_path):
    text = (ROOT / "examples/functional_ladder.toml").read_text(encoding="utf-8")
    blocks = [
        re.sub("^# ", "", block, flags=re.M) if block.startswith("# [") else block for block in text.split("\n\n")
    ]
    (tmp_path / "ladder.toml").write_text("\n\n".join(blocks), encoding="utf-8")
    fidelities = {one.name: one for one in load(tmp_path / "ladder.toml", fast=True).fidelity}
    assert list(fidelities) == ["chgnet", "lda", "pbe", "r2scan", "calorimetry"]
    assert fidelities["r2scan"].options == {"functional": "r2SCAN", "settings": "fast"}


@pytest.fixture(scope="module")
def campaign(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("example")
    text = (ROOT / "examples/intermetallics.toml").read_text(encoding="utf-8")
    # Six compounds instead of ten: half the calculations, and every fidelity is still asked.
    assert "limit = 10" in text
    text = text.replace("limit = 10", "limit = 6")
    file = place / "intermetallics.toml"
    file.write_text(text.replace('cache = "runs/cache"', f'cache = "{place}/cache"'), encoding="utf-8")
    mfal("run", file, "--fast", "--directory", place / "run")
    return place / "run"


@pytest.mark.slow
def test_every_fidelity_really_answered(campaign):
    observations = [e.payload for e in read_events(campaign) if e.kind == EventKind.OBSERVATION]
    answered = {o["fidelity"] for o in observations if o["failure"] is None}
    assert answered == {"chgnet", "gpaw", "calorimetry"}
    gpaw = next(o for o in observations if o["fidelity"] == "gpaw")
    assert gpaw["details"]["iterations"] > 1


@pytest.mark.slow
def test_no_query_is_paid_twice_and_the_budget_holds(campaign):
    observations = [e.payload for e in read_events(campaign) if e.kind == EventKind.OBSERVATION]
    keys = [o["key"] for o in observations]
    assert len(keys) == len(set(keys))
    assert sum(o["price_eur"] for o in observations) <= 3000.0


@pytest.mark.slow
def test_ledger_verifies_and_every_decision_is_reproduced(campaign):
    said = mfal("verify", campaign, "--replay")
    assert "chain intact; the seal matches" in said
    assert "equal bit for bit" in said


@pytest.mark.slow
def test_status_shows_the_score(campaign):
    assert "of the true best 2" in mfal("status", campaign)


@pytest.mark.slow
def test_page_is_self_contained(campaign):
    page = (campaign / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    loaded = re.findall(r"<(?:script|link|img|iframe)\b|\bsrc=|@import|url\((?!#)", page)
    assert loaded == []
