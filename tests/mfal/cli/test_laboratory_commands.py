"""The four commands of the laboratory's door."""

import json
import subprocess
import sys

import pytest

from mfal.cli import main
from mfal.laboratory.told import LABORATORY, read_told
from tests.mfal.laboratory import door


@pytest.fixture
def campaign(tmp_path):
    return door.prepared(tmp_path / "campaign")


def test_ask_writes_the_batch_and_says_what_to_do(campaign, capsys):
    assert main(["ask", str(campaign)]) == 0
    said = capsys.readouterr().out
    assert "AlCo  EUR 500.00  due" in said
    batch = json.loads((campaign / "laboratory/batch.json").read_text())
    assert len(batch["queries"]) == len(door.CANDIDATES)
    assert f"fill in {campaign}/laboratory/results_form.csv, then: mfal tell {campaign}" in said


def test_ask_names_what_it_refuses(tmp_path, capsys):
    campaign = door.prepared(tmp_path / "campaign", door.config(constraints={"elements": ["Al", "Co", "Ni", "Ti"]}))
    assert main(["ask", str(campaign)]) == 1
    assert "refused: ['Pd', 'Zr'] are not among elements" in capsys.readouterr().out


def test_ask_says_why_a_part_of_a_batch_is_not_learnt_from(campaign, tmp_path, capsys):
    file = tmp_path / "results.json"
    file.write_bytes(door.document(door.row(door.ids(campaign)["AlNi"])))
    main(["tell", str(campaign), str(file)])
    assert main(["ask", str(campaign)]) == 0
    assert '1 results are told and not learnt from: clock = "declared"' in capsys.readouterr().out


def test_tell_records_then_says_that_nothing_is_new(campaign, tmp_path, capsys):
    file = tmp_path / "results.json"
    file.write_bytes(door.document(door.row(door.ids(campaign)["AlNi"], -612.5, unit="meV/atom")))
    assert main(["tell", str(campaign), str(file), "--dry-run"]) == 0
    assert "would be accepted: 1 results, 0 corrections, 0 repeated; nothing was recorded" in capsys.readouterr().out
    assert main(["tell", str(campaign), str(file)]) == 0
    said = capsys.readouterr().out
    assert "-612.5 meV/atom is recorded as -0.6125" in said
    assert "recorded 1 results" in said
    assert main(["tell", str(campaign), str(file)]) == 0
    assert "nothing new: 0 results, 0 corrections, 1 repeated" in capsys.readouterr().out


def test_tell_refuses_with_place_and_remedy(campaign, tmp_path, capsys):
    file = tmp_path / "results.csv"
    file.write_bytes(door.table({"id": door.ids(campaign)["AlNi"], "value": "0.5x", "unit": "eV/atom"}))
    assert main(["tell", str(campaign), str(file)]) == 1
    assert "mfal: results.csv:2: value = '0.5x': is no plain number" in capsys.readouterr().err
    assert main(["tell", str(campaign), str(tmp_path / "results.xlsx")]) == 1
    assert "must end in .csv or .json" in capsys.readouterr().err
    assert main(["tell", str(campaign), str(tmp_path / "nothing.csv")]) == 1
    assert "cannot be read" in capsys.readouterr().err
    assert not (campaign / LABORATORY).exists()


def test_review_lists_and_signs(campaign, tmp_path, capsys):
    names = door.ids(campaign)
    file = tmp_path / "results.json"
    file.write_bytes(door.document(door.row(names["AlNi"], 0.5), door.row(names["AlCo"], -0.52)))
    main(["tell", str(campaign), str(file)])
    capsys.readouterr()
    assert main(["review", str(campaign)]) == 0
    said = capsys.readouterr().out
    assert f"{names['AlNi']}  outlier," in said
    assert f"{names['AlCo']}  decided automatically" in said
    assert "1 wait for a person, 0 signed, 1 decided automatically" in said
    signing = ["review", str(campaign), "accept", names["AlNi"], "--by", "Ana", "--note", "again", "--novel", "yes"]
    assert main(signing) == 0
    assert "accepted by Ana at" in capsys.readouterr().out
    assert main(["review", str(campaign)]) == 0
    said = capsys.readouterr().out
    assert "accepted: again, signed by Ana; workflow success True, scientific novelty yes" in said
    assert "0 wait for a person, 1 signed" in said


@pytest.mark.parametrize("arguments", [["accept", "ID", "--note", "x", "--novel", "yes"], ["accept"], ["reject", "ID"]])
def test_nobody_signs_without_a_name(campaign, capsys, arguments):
    assert main(["review", str(campaign), *arguments]) == 1
    assert "needs ID, --by NAME and --note WHY" in capsys.readouterr().err
    assert main(["review", str(campaign), "--novel", "yes"]) == 1
    assert "belong to a decision" in capsys.readouterr().err
    assert read_told(campaign).signatures == []


def test_serve_wants_a_token_before_it_listens(campaign, capsys, monkeypatch):
    monkeypatch.delenv("MFAL_TOKEN", raising=False)
    assert main(["serve", str(campaign)]) == 1
    assert "there is no token; set MFAL_TOKEN" in capsys.readouterr().err


def test_status_says_what_waits(campaign, capsys):
    assert main(["status", str(campaign)]) == 0
    assert "4 queries wait for the laboratory, see: mfal ask" in " ".join(capsys.readouterr().out.split())


def test_verify_checks_the_laboratorys_ledger_too(campaign, tmp_path, capsys):
    file = tmp_path / "results.json"
    file.write_bytes(door.document(door.row(door.ids(campaign)["AlNi"])))
    main(["tell", str(campaign), str(file)])
    capsys.readouterr()
    assert main(["verify", str(campaign)]) == 0
    assert "laboratory: 1 events" in capsys.readouterr().out
    content = bytearray((campaign / LABORATORY).read_bytes())
    place = content.index(b'"value":-0.5') + len(b'"value":-0.')
    content[place : place + 1] = b"6"
    (campaign / LABORATORY).write_bytes(content)
    assert main(["verify", str(campaign)]) == 1
    assert "event 1 does not match its hash" in capsys.readouterr().err


def test_telling_needs_neither_jax_nor_a_server(campaign, tmp_path):
    file = tmp_path / "results.json"
    file.write_bytes(door.document(door.row(door.ids(campaign)["AlNi"])))
    code = (
        "import sys; from mfal.cli import main; main(sys.argv[1:]); "
        "print(sorted({'jax', 'fastapi', 'uvicorn', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", code, "tell", str(campaign), str(file)]
    assert subprocess.check_output(command, text=True).splitlines()[-1] == "[]"
