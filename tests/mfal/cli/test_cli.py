"""The commands, in process: exit status and what is said."""

import io
import os
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from mfal.campaign.loop import Campaign
from mfal.cli import main
from mfal.cli.compiled import keep_compiled
from mfal.cli.live import _screen
from mfal.ledger import read_events
from tests import synthetic

CAMPAIGN = """\
[campaign]
name = "synthetic"
seed = 3
budget_eur = 4000.0
best = "lowest"
top = 3
value_of_hit_eur = 2000.0

[property]
name = "synthetic_energy"
unit = "eV/atom"
typical_value = 0.0
typical_spread = 0.5

[candidates]
source = "synthetic"

[[fidelity]]
name = "low"
oracle = "table"
price_eur = 0.001
latency_hours = 0.0
capacity = 1000
noise_sd = 0.0
options = { level = 0 }

[[fidelity]]
name = "middle"
oracle = "table"
price_eur = 1.0
latency_hours = 1.0
capacity = 4
noise_sd = 0.0
requires = ["low"]
options = { level = 1 }

[[fidelity]]
name = "high"
oracle = "table"
price_eur = 300.0
latency_hours = 120.0
capacity = 3
noise_sd = 0.02
target = true
options = { level = 2 }
"""


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "campaign"))


def test_init_writes_a_template_once(tmp_path, capsys):
    path = tmp_path / "new.toml"
    assert main(["init", str(path)]) == 0
    assert f"mfal run {path}" in capsys.readouterr().out.replace("\n", "")
    path.write_text("mine")
    assert main(["init", str(path)]) == 1
    assert "left as it is" in capsys.readouterr().err
    assert path.read_text() == "mine"


def test_run_ends_with_tables_and_a_page(tmp_path, capsys, finished):
    pytest.importorskip("jinja2")
    file, directory = tmp_path / "campaign.toml", tmp_path / "out"
    file.write_text(CAMPAIGN)
    assert main(["run", str(file), "--directory", str(directory)]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    for part in ("ask c", "got high:", "expected gain", "found 3 of the true best 3", "report.html"):
        assert part in said
    assert (directory / "report.html").stat().st_size > 1000
    paid = [[e.payload for e in read_events(d) if e.kind == "decision"] for d in (directory, finished)]
    assert paid[0] == paid[1], "the command line takes the same decisions as the library"


def test_run_refuses_a_wrong_file_without_a_trace(tmp_path, capsys):
    file, directory = tmp_path / "campaign.toml", tmp_path / "out"
    file.write_text(CAMPAIGN.replace("price_eur = 1.0", "price_eur = -1.0"))
    assert main(["run", str(file), "--directory", str(directory)]) == 1
    assert "price_eur = -1.0 is refused" in capsys.readouterr().err
    assert not directory.exists()
    assert main(["run", str(tmp_path / "absent.toml")]) == 1
    assert "mfal init" in capsys.readouterr().err


def test_run_refuses_an_unknown_oracle_without_leaving_a_campaign(tmp_path, capsys):
    file, directory = tmp_path / "campaign.toml", tmp_path / "out"
    file.write_text(CAMPAIGN.replace('oracle = "table"', 'oracle = "tabel"', 1))
    assert main(["run", str(file), "--directory", str(directory)]) == 1
    assert "'tabel'" in capsys.readouterr().err
    assert not (directory / "ledger.sqlite").exists()


def test_run_and_resume_refuse_the_wrong_directory(copy, tmp_path, capsys):
    file = tmp_path / "campaign.toml"
    file.write_text(CAMPAIGN)
    assert main(["run", str(file), "--directory", str(copy)]) == 1
    assert "mfal resume" in capsys.readouterr().err
    for command in ("resume", "status", "report"):
        assert main([command, str(tmp_path / "nothing")]) == 1
        assert "holds no campaign" in capsys.readouterr().err


def test_status_shows_money_and_outcome(copy, capsys):
    assert main(["status", str(copy)]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "found 3 of the true best 3" in said
    assert "stopped: no query is expected to gain" in said
    assert "mfal resume" not in said


def test_status_tells_the_worth_of_the_sources_once_it_has_been_judged(copy, capsys):
    pytest.importorskip("jinja2")
    assert main(["status", str(copy)]) == 0
    assert "what the sources are worth is judged by: mfal report" in re.sub(r"\s+", " ", capsys.readouterr().out)
    assert main(["report", str(copy)]) == 0
    capsys.readouterr()
    assert main(["status", str(copy)]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "what each source adds, next to the others, to foretelling" in said
    assert "multi-fidelity pays here: single-fidelity search gets as far for EUR" in said


@pytest.mark.parametrize(
    "question, asked, found",
    [
        ("window = [-0.5, -0.2]\nvalue_of_hit_eur = 2000.0\n", "synthetic energy from -0.5 to -0.2 eV/atom",
         "of the true candidates in the window 4"),
        pytest.param(
            'best = "highest"\nvalue_per_unit_eur = 5000.0\n', "the highest synthetic energy", "the best possible is",
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_run_answers_the_other_questions(tmp_path, capsys, question, asked, found):
    pytest.importorskip("jinja2")
    file, directory = tmp_path / "campaign.toml", tmp_path / "out"
    best = 'best = "lowest"\ntop = 3\nvalue_of_hit_eur = 2000.0\n'
    assert best in CAMPAIGN
    file.write_text(CAMPAIGN.replace(best, question))
    assert main(["run", str(file), "--directory", str(directory)]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    for part in (asked, found, "expected gain EUR", "report.html"):
        assert part in said
    assert ("P(better)" in said) == ("highest" in question)


def test_the_live_screen_shows_every_question(tmp_path):
    """The table of the best, on a terminal, half way through a campaign."""
    for name, question in {
        "best so far": {"best": "lowest", "top": 3, "value_of_hit_eur": 2000.0},
        "closest to the window": {"window": [-0.5, -0.2], "value_of_hit_eur": 2000.0},
    }.items():
        campaign = Campaign.start(synthetic.asking(**question), tmp_path / name)
        campaign.run(lambda _: None)
        console = Console(width=160, record=True, file=io.StringIO())
        console.print(_screen(campaign))
        campaign.close()
        text = console.export_text()
        assert name in text and "expected gain" in text
        assert ("inside" in text) == ("window" in question)


def test_compiled_decisions_are_kept_in_a_folder_of_the_user(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    keep_compiled()
    folder = Path(os.environ["JAX_COMPILATION_CACHE_DIR"])
    assert folder.parent == tmp_path / "mfal"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    keep_compiled()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"


def test_report_writes_the_page(copy, capsys):
    pytest.importorskip("jinja2")
    assert main(["report", str(copy)]) == 0
    page = (copy / "report.html").read_text(encoding="utf-8")
    assert "eV/atom" in page
    assert "c20" in page
    assert not re.search(r'(src|href)="https?://', page), "the page opens offline"


def test_verify_accepts_the_ledger_and_its_decisions(copy, capsys):
    assert main(["verify", str(copy), "--replay"]) == 0
    said = capsys.readouterr().out
    assert "chain intact; the seal matches" in said
    assert "equal bit for bit" in said


def test_verify_finds_a_flipped_byte(copy, capsys):
    file = copy / "ledger.sqlite"
    content = bytearray(file.read_bytes())
    content[content.index(b"synthetic_energy")] ^= 1
    file.write_bytes(content)
    assert main(["verify", str(copy)]) == 1
    assert "mfal: " in capsys.readouterr().err


def test_an_unknown_command_is_a_usage_error(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["rnu"])
    assert caught.value.code == 2
    assert "rnu" in capsys.readouterr().err
