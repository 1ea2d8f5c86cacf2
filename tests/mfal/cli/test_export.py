"""``mfal export``: tables agree with the ledger, files appear whole or not at all, and refusals say what to do."""

import json
import subprocess
import sys

import pandas as pd
import pytest

from mfal.campaign.record import recorded_observation
from mfal.cli import main
from mfal.exporting import COLUMNS, Entry, export, read_request, table
from mfal.ledger import read_events
from mfal.ledger.event import canonical_json
from mfal.oracle import Observation


def read_csv(file):
    """Read a table as the help of the command says: names and hashes as text; floats by Python, which is exact."""
    types = {name: "string" if kind == "string" else "int64" for name, kind in COLUMNS.items() if kind != "float64"}
    floats = {name: _number for name, kind in COLUMNS.items() if kind == "float64"}
    return pd.read_csv(file, dtype=types, converters=floats, keep_default_na=False, na_values={"failure": [""]})


def _number(text):
    return float(text or "nan")


READERS = {"csv": read_csv, "parquet": pd.read_parquet}


@pytest.mark.parametrize("to", READERS)
def test_a_table_has_a_row_an_observation(finished, tmp_path, capsys, to):
    pytest.importorskip("pyarrow")
    file = tmp_path / f"all.{to}"
    assert main(["export", str(finished), "--to", to, "--output", str(file)]) == 0
    rows = READERS[to](file).to_dict("records")
    events = [event for event in read_events(finished) if event.kind == "observation"]
    assert capsys.readouterr().out == f"{len(events)} rows of {len(events)} observations: {file}\n"
    assert [row["event_hash"] for row in rows] == [event.hash for event in events]
    for row, event in zip(rows, events, strict=True):
        found = recorded_observation(event.payload)
        assert list(row) == list(COLUMNS)
        # bit for bit
        assert (row["value"], row["price_eur"], row["hours"]) == (found.value, found.price_eur, event.payload["hours"])
        assert (row["sequence"], row["time"], row["unit"]) == (event.sequence, event.time, "eV/atom")
        assert (row["candidate"], row["fidelity"], row["campaign"]) == (found.candidate, found.fidelity, "synthetic")
        assert pd.isna(row["failure"]) and pd.isna(row["noise_sd"]) and row["calculations"] == ""
        assert row["details"] == canonical_json(found.details)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_failures_and_awkward_names_come_back_from_a_table(finished, tmp_path):
    failed = Observation(
        "NaN", "low", None, None, 0.5, 'a "quoted",\nbroken line', {"calculations": ["12e4567890123456"]}
    )
    good = Observation("007", "low", 0.1 + 0.2, 1e-300, 0.5, None, {"calculations": "not a list"})
    request = read_request(finished, tmp_path / "x.csv")
    entries = tuple(Entry(n, "e" * 64, "2026-01-01", 0.0, found) for n, found in enumerate([failed, good]))
    frame = table(type(request)(**{**vars(request), "entries": entries}))
    frame.to_csv(tmp_path / "x.csv", index=False)
    first, second = read_csv(tmp_path / "x.csv").to_dict("records")
    assert (first["candidate"], first["failure"], first["calculations"]) == ("NaN", failed.failure, "12e4567890123456")
    assert pd.isna(first["value"])
    assert (second["candidate"], second["value"], second["noise_sd"]) == ("007", good.value, 1e-300)
    assert second["calculations"] == ""


def test_a_parquet_file_names_the_campaign_and_its_head(finished, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    file = tmp_path / "all.parquet"
    assert main(["export", str(finished), "--to", "parquet", "--output", str(file)]) == 0
    attributes = json.loads(parquet.read_schema(file).metadata[b"pandas"])["attributes"]
    assert attributes == {"campaign": "synthetic", "head_hash": read_events(finished)[-1].hash}


def test_nothing_is_replaced_unless_it_is_asked_for(finished, tmp_path, capsys):
    file = tmp_path / "all.csv"
    file.write_text("mine")
    arguments = ["export", str(finished), "--to", "csv", "--output", str(file)]
    assert main(arguments) == 1
    assert "exists; name another file, or replace a file with --force" in capsys.readouterr().err
    assert file.read_text() == "mine"
    assert main([*arguments, "--force"]) == 0
    assert file.read_text().startswith("campaign,sequence,")


def test_what_cannot_be_written_whole_leaves_the_old_file(finished, tmp_path, monkeypatch, capsys):
    def full(_, target, **__):
        target.write_text("half")
        raise OSError(28, "No space left on device")

    file = tmp_path / "all.csv"
    file.write_text("mine")
    monkeypatch.setattr("pandas.DataFrame.to_csv", full)
    assert main(["export", str(finished), "--to", "csv", "--output", str(file), "--force"]) == 1
    assert "No space left on device); make room, or name another place" in capsys.readouterr().err
    assert file.read_text() == "mine" and [path.name for path in tmp_path.iterdir()] == ["all.csv"]


def test_an_interrupted_export_leaves_nothing(finished, tmp_path):
    def interrupted(request, target):
        target.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(interrupted, read_request(finished, tmp_path / "x.csv"), False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["nowhere", "--to", "csv", "--output", "x.csv"], "nowhere holds no campaign; start one with: mfal run"),
        (
            ["{}", "--to", "excel", "--output", "x.xls"],
            "name='excel' is not registered in mfal.exports; known: ['aiida', ",
        ),
        (["{}", "--to", "csv", "--output", "x.txt"], "--output x.txt: the name must end in .csv"),
        (["{}", "--to", "parquet", "--output", "x"], "--output x: the name must end in .parquet"),
        (["{}", "--to", "csv", "--output", "no/x.csv"], "the folder no does not exist; make it first"),
        (["{}", "--to", "csv", "--output", ".", "--force"], "--output . exists; name another file"),
        (["{}", "--to", "csv", "--output", "x.csv", "--cache", "no"], "--cache no is no folder"),
    ],
)
def test_what_cannot_be_exported_is_refused(finished, tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert main(["export", *(part.format(finished) for part in arguments)]) == 1
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_package_names_its_extra(finished, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("mfal.oracle.importlib.util.find_spec", lambda name: None if name == "pyarrow" else name)
    assert main(["export", str(finished), "--to", "parquet", "--output", str(tmp_path / "x.parquet")]) == 1
    assert (
        "package='pyarrow' is not installed; install it with: pip install 'mfal[documents]'" in capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())


def test_a_damaged_ledger_is_not_exported(finished, tmp_path, capsys):
    content = bytearray((finished / "ledger.sqlite").read_bytes())
    content[content.index(b"synthetic_energy")] ^= 1
    (tmp_path / "ledger.sqlite").write_bytes(content)
    assert main(["export", str(tmp_path), "--to", "csv", "--output", str(tmp_path / "x.csv")]) == 1
    assert capsys.readouterr().err.startswith("mfal: ")
    assert not (tmp_path / "x.csv").exists()


def test_tables_need_neither_jax_nor_what_the_other_formats_need(finished, tmp_path):
    code = f"""if True:
        import sys
        from mfal.cli import main
        main(["export", {str(finished)!r}, "--to", "csv", "--output", {str(tmp_path / "x.csv")!r}])
        print(sorted({{"aiida", "ase", "emmet", "jax", "optimade", "physics", "pymatgen", "torch"}} & set(sys.modules)))
    """
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.endswith("[]\n"), answer.stdout
