"""The seal: one flipped byte anywhere, or a cut tail, is found; checking changes nothing."""

import hashlib
import json
import os
import random
import shutil
import sqlite3

import pytest

from mfal.errors import LedgerError, TamperedLedgerError
from mfal.ledger import Ledger, verify

FLIPS = 600


def entries(count, start=0):
    for index in range(start, start + count):
        yield ("decision", {"index": index, "why": "é" * (index % 7), "gain": index / 7})
        yield (
            "observation",
            {"key": f"dft:{index}", "value": -index / 3, "details": {"long": "y" * (index * 31 % 900)}},
        )


@pytest.fixture(scope="module")
def sealed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sealed")
    with Ledger.create(folder) as ledger:
        for entry in entries(40):
            ledger.append(*entry)
        ledger.append("decision", {"large": "z" * 9000})  # overflow pages
    return folder


@pytest.fixture(scope="module")
def older(sealed, tmp_path_factory):
    """The state after a kill: more events than the seal knows."""
    folder = tmp_path_factory.mktemp("older") / "ledger"
    shutil.copytree(sealed, folder)
    seal = (folder / "ledger.seal").read_bytes()
    with Ledger.open(folder) as ledger:
        ledger.append_many(list(entries(5, start=40)))
    (folder / "ledger.seal").write_bytes(seal)
    return folder


@pytest.fixture
def copy(tmp_path):
    """Return a function that gives a fresh copy of a ledger's folder."""

    def make(folder):
        target = tmp_path / "copy"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        return target / "ledger.sqlite"

    return make


def flip(path, position, mask):
    with path.open("r+b") as file:
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ mask]))


def test_report_of_a_sealed_ledger(sealed):
    report = verify(sealed / "ledger.sqlite")
    seal = json.loads((sealed / "ledger.seal").read_bytes())
    assert (report.events, report.sealed) == (81, "matches")
    assert (seal["head_sequence"], seal["head_hash"]) == (81, report.head_hash)
    assert seal["file_sha256"] == hashlib.sha256((sealed / "ledger.sqlite").read_bytes()).hexdigest()


def test_reports_of_older_and_absent_seals(older, copy):
    assert (verify(older / "ledger.sqlite").events, verify(older / "ledger.sqlite").sealed) == (91, "older")
    path = copy(older)
    path.with_suffix(".seal").unlink()
    assert verify(path).sealed == "absent"
    assert (verify(path).events, path.with_suffix(".seal").exists()) == (91, False)


def test_an_empty_ledger_is_sealed_at_birth(tmp_path):
    Ledger.create(tmp_path).close()
    report = verify(tmp_path / "ledger.sqlite")
    assert (report.events, report.head_hash, report.sealed) == (0, "0" * 64, "matches")


def test_every_flipped_byte_of_a_sealed_ledger_is_found(sealed, copy):
    path = copy(sealed)
    size = path.stat().st_size
    draw = random.Random(1)
    pages = range(0, size, 4096)
    positions = {*range(100), *pages, *(page + 4095 for page in pages), size - 1}  # header, page edges
    positions |= set(draw.sample(range(size), FLIPS - len(positions)))
    assert len(positions) >= 400
    missed = [position for position in sorted(positions) if not found(path, position, draw.randint(1, 255))]
    assert missed == []
    assert verify(path).sealed == "matches"


def test_every_single_bit_of_the_file_header_matters(sealed, copy):
    path = copy(sealed)
    assert [(at, bit) for at in range(100) for bit in range(8) if not found(path, at, 1 << bit)] == []


def found(path, position, mask):
    flip(path, position, mask)
    try:
        verify(path)
    except LedgerError:
        return True
    finally:
        flip(path, position, mask)
    return False


def test_every_flipped_byte_of_the_seal_is_found(sealed, older, copy):
    for folder in (sealed, older):
        seal = copy(folder).with_suffix(".seal")
        draw = random.Random(2)
        for position in range(seal.stat().st_size):
            mask = draw.randint(1, 255)
            flip(seal, position, mask)
            with pytest.raises(TamperedLedgerError):
                verify(seal.with_suffix(".sqlite"))
            flip(seal, position, mask)


@pytest.mark.parametrize("seal", ["older", "absent"])
def test_flips_in_any_event_are_found_without_a_current_seal(older, copy, seal):
    path = copy(older)
    if seal == "absent":
        path.with_suffix(".seal").unlink()
    image, draw = path.read_bytes(), random.Random(3)
    connection = sqlite3.connect(path)
    rows = connection.execute(
        "SELECT payload, hash, previous_hash, time FROM event WHERE length(payload) < 400"
    ).fetchall()
    connection.close()
    assert len(rows) > 40
    for row in rows:
        for text in row:
            position = image.index(text.encode()) + draw.randrange(len(text))
            assert found(path, position, 1 << draw.randrange(8)), (row, position)


@pytest.mark.parametrize(
    "payload",
    ['{"seed": 3}', '{"seed":3 }', '{"seed":3,"seed":3}', '{"\\u0073eed":3}', '{"seed":3e0}', '{"seed":3', "", "[3]"],
)
def test_payload_must_be_stored_in_its_canonical_text(tmp_path, payload):
    with Ledger.create(tmp_path) as ledger:
        ledger.append("campaign", {"seed": 3})
    rewrite(tmp_path / "ledger.sqlite", "UPDATE event SET payload = ?", payload)
    with pytest.raises(TamperedLedgerError, match="event 1 "):
        verify(tmp_path / "ledger.sqlite")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET key = 'dft:999' WHERE sequence = 2",
        "UPDATE event SET key = NULL WHERE sequence = 2",
        "UPDATE event SET key = 'x' WHERE sequence = 1",
        "UPDATE event SET payload = CAST(payload AS BLOB) WHERE sequence = 3",
        "UPDATE event SET sequence = 1000 WHERE sequence = 81",
        "DELETE FROM event WHERE sequence = 7",
        "DELETE FROM ledger_schema",
        "UPDATE ledger_schema SET version = 0",
    ],
)
def test_rewritten_rows_are_found_without_a_seal(sealed, copy, statement):
    path = copy(sealed)
    path.with_suffix(".seal").unlink()
    rewrite(path, statement)
    with pytest.raises(TamperedLedgerError):
        verify(path)


def test_a_cut_tail_is_found(sealed, older, copy):
    path = copy(sealed)
    rewrite(path, "DELETE FROM event WHERE sequence = 81")
    with pytest.raises(TamperedLedgerError, match="truncated: events 81 to 81 are missing"):
        verify(path)
    path = copy(older)
    rewrite(path, "DELETE FROM event WHERE sequence > 40")
    with pytest.raises(TamperedLedgerError, match="truncated: events 41 to 81 are missing"):
        verify(path)


def test_a_forged_chain_is_found_by_the_seal(sealed, copy, tmp_path):
    with Ledger.create(tmp_path / "forged") as ledger:
        ledger.append_many(list(entries(50, start=3)))
    path = copy(sealed)
    shutil.copy(tmp_path / "forged" / "ledger.sqlite", path)
    with pytest.raises(TamperedLedgerError, match="event 81 is not the one that was sealed"):
        verify(path)


@pytest.mark.parametrize("cut", [0, 1, 100, 4096, -1, -4096])
def test_a_cut_or_extended_file_is_found(sealed, copy, cut):
    path = copy(sealed)
    os.truncate(path, cut if cut >= 0 else path.stat().st_size + cut)
    with pytest.raises(TamperedLedgerError):
        verify(path)
    path = copy(sealed)
    with path.open("ab") as file:
        file.write(b"\0" * (abs(cut) + 1))
    with pytest.raises(TamperedLedgerError):
        verify(path)


def test_a_change_outside_the_events_is_found(sealed, copy):
    path = copy(sealed)
    rewrite(path, "PRAGMA user_version = 5")
    with pytest.raises(TamperedLedgerError, match="another byte"):
        verify(path)


def test_a_missing_ledger_is_said_to_be_missing(tmp_path):
    with pytest.raises(LedgerError, match="no ledger at"):
        verify(tmp_path / "ledger.sqlite")


def test_checking_changes_nothing(older, sealed):
    for folder in (sealed, older):
        before = snapshot(folder)
        verify(folder / "ledger.sqlite")
        assert snapshot(folder) == before


def test_opening_and_closing_without_events_changes_no_byte(sealed, copy):
    path = copy(sealed)
    before = path.read_bytes(), path.with_suffix(".seal").read_bytes()
    Ledger.open(path).close()
    assert (path.read_bytes(), path.with_suffix(".seal").read_bytes()) == before


def test_the_seal_can_be_renewed_while_running(tmp_path):
    with Ledger.create(tmp_path) as ledger:
        ledger.append("campaign", {})
        assert verify(tmp_path / "ledger.sqlite").sealed == "older"
        ledger.seal()
        assert verify(tmp_path / "ledger.sqlite").sealed == "matches"


def test_closing_does_not_seal_over_a_change(tmp_path):
    ledger = Ledger.create(tmp_path)
    ledger.append("campaign", {"seed": 3})
    before = (tmp_path / "ledger.seal").read_bytes()
    rewrite(tmp_path / "ledger.sqlite", "UPDATE event SET payload = '{}'")
    with pytest.raises(TamperedLedgerError):
        ledger.close()
    assert (tmp_path / "ledger.seal").read_bytes() == before
    with pytest.raises(TamperedLedgerError):  # not: another process is running
        Ledger.open(tmp_path)


def snapshot(folder):
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in folder.iterdir()}


def rewrite(path, statement, *values):
    """Change a ledger as somebody with a shell could: triggers off, change, triggers back."""
    connection = sqlite3.connect(path)
    triggers = connection.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    connection.execute(statement, values)
    for _, sql in triggers:
        connection.execute(sql)
    connection.commit()
    connection.close()
