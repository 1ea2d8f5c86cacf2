"""Every bad file is refused as a whole, with place, value and remedy; nothing is recorded."""

import json

import pytest

from mfal.laboratory.problems import RefusedResultsError
from mfal.laboratory.reading import MOST_BYTES
from mfal.laboratory.tell import tell
from mfal.laboratory.told import LABORATORY
from mfal.ledger import read_events
from tests.mfal.laboratory import door

STANDARD = "schema_version,id,value,unit,uncertainty,failure"


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    return door.prepared(tmp_path_factory.mktemp("campaign"))


def refused(campaign, content: bytes, form: str) -> str:
    with pytest.raises(RefusedResultsError) as caught:
        tell(campaign, content, form, f"results.{form}", False)
    assert not (campaign / LABORATORY).exists() or not read_events(campaign / LABORATORY)
    return str(caught.value)


# What a cell of an otherwise sound row holds, and what the refusal says.
CELLS = [
    ({"value": "abc"}, "results.csv:3: value = 'abc': is no plain number"),
    ({"value": "-0,5"}, "7 cells, where the header has 6"),
    ({"value": '"-0,5"'}, "value = '-0,5': is no plain number"),
    ({"value": "NaN"}, "value = 'NaN': is no plain number"),
    ({"value": "inf"}, "value = 'inf'"),
    ({"value": "1e999"}, "cannot be measured; correct the power of ten"),
    ({"value": "-500"}, "-500 eV/atom is not from -5 to 2, the campaign file's lowest and highest; check the unit"),
    ({"value": ""}, "there is neither a value nor a failure"),
    ({"value": "٣"}, "is no plain number"),
    ({"value": " -0.5"}, "is no plain number"),
    ({"unit": ""}, "unit: is missing; write one of ['eV/atom', 'meV/atom']"),
    ({"unit": "kJ/mol"}, "unit = 'kJ/mol': does not convert exactly to eV/atom"),
    ({"unit": "eV"}, "unit = 'eV': does not convert exactly"),
    ({"uncertainty": "-0.01"}, "uncertainty = '-0.01': must be positive"),
    ({"uncertainty": "0"}, "leave it empty where none is known"),
    ({"failure": "broke"}, "there is a value too (-0.5); keep one of the two"),
    ({"value": "", "failure": "broke", "uncertainty": "0.1"}, "a failure has none"),
    ({"id": "calorimetry:AlNi:00000000"}, "was not asked; copy the id from the batch"),
    ({"id": ""}, "id: is missing; add it"),
    ({"schema_version": "mfal.results/2"}, "this mfal reads 'mfal.results/1'"),
    ({"price_eur": "-1"}, "price_eur = '-1': must not be negative"),
    ({"measured_on": "23.11.2026"}, "is no day; write it as YYYY-MM-DD"),
    ({"measured_on": "20261123"}, "is no day; write it as YYYY-MM-DD"),
    ({"measured_on": "2026-02-30"}, "is no day; write it as YYYY-MM-DD"),
    ({"measured_on": "2099-01-01"}, "is in the future"),
    ({"correction": "typing slip"}, "there is no earlier result; leave it empty"),
    ({"step_melted": "yes"}, "write true or false"),
    ({"step_polished": "true"}, "no such step; declared are ['weighed', 'melted']"),
    ({"values": "1"}, "unknown column; did you mean 'value'?"),
    ({"novel": "true"}, "unknown column"),
    ({"x_novel": "true"}, "novelty is signed by a person, not reported"),
    ({"x_note": "a\x07b"}, "control character"),
]


@pytest.mark.parametrize(("cells", "message"), CELLS, ids=[f"{i}" for i in range(len(CELLS))])
def test_a_bad_cell_refuses_the_whole_file(campaign, cells, message):
    names = door.ids(campaign)
    sound = {"id": names["AlCo"], "value": "-0.4", "unit": "eV/atom"}
    bad = {"id": names["AlNi"], "value": "-0.5", "unit": "eV/atom", **cells}
    columns = ",".join([STANDARD, *(name for name in cells if name not in STANDARD.split(","))])
    said = refused(campaign, door.table(sound, bad, columns=columns), "csv")
    assert message in said
    assert said.endswith("nothing of the file was taken in")


def json_row(campaign, **keys: object) -> bytes:
    return door.document(door.row(door.ids(campaign)["AlNi"], **keys))


JSON_VALUES = [
    ("-0.5", "write a bare number"),
    (True, "write a bare number"),
    (float("nan"), "NaN is no number"),
    (float("-inf"), "-Infinity is no number"),
    ([1.0], "write a bare number"),
]


@pytest.mark.parametrize(("value", "message"), JSON_VALUES, ids=str)
def test_a_json_value_is_a_number(campaign, value, message):
    assert message in refused(campaign, json_row(campaign, value=value), "json")


DOCUMENTS = [
    (b"", "is no JSON"),
    (b"[]", "is no object"),
    (b'{"results": []}', "schema_version: is missing"),
    (b'{"schema_version": "mfal.results/1", "results": []}', "holds no result"),
    (b'{"schema_version": "mfal.results/1", "results": {}}', "is no list of objects"),
    (b'{"schema_version": "mfal.results/1", "results": [], "unit": "eV"}', "unknown key"),
    (b'{"schema_version": "mfal.results/1",\n "results": [{"id": "a",\n "id": "b"}]}', "['id'] more than once"),
    (b'{"schema_version": "mfal.results/1",\n "results": [\n{"id": 5}]}', "results.json:3: id = '5'"),
    (b'{"schema_version": "mfal.results/1",\n\n "results": [,]}', "results.json:3: is no JSON"),
    (b"[" * 100_000, "cannot be read"),
    (b'{"results": ' + b"9" * 100 + b"}", "has 100 characters"),
    (b"\xff\xfe{}", "byte 0xff: is no UTF-8"),
    (b" " * (MOST_BYTES + 1), "tell it in parts"),
]


@pytest.mark.parametrize(("content", "message"), DOCUMENTS, ids=[f"{i}" for i in range(len(DOCUMENTS))])
def test_a_bad_document_is_refused(campaign, content, message):
    assert message in refused(campaign, content, "json")


def test_unknown_keys_and_novelty_are_refused_in_json(campaign):
    assert "unknown key" in refused(campaign, json_row(campaign, scientific_novelty=True), "json")
    assert "signed by a person" in refused(campaign, json_row(campaign, extra={"is_novel": "yes"}), "json")


TABLES = [
    (b"", "is empty; begin with the header"),
    (b"schema_version,id,value,unit,uncertainty,failure\n", "holds no result"),
    (b"schema_version;id;value;unit;uncertainty;failure\n", "the column is missing"),
    (b"schema_version,id,value,unit,uncertainty\n", "failure: the column is missing"),
    (b"schema_version,id,value,value,unit,uncertainty,failure\n", "value: the column occurs twice"),
    (b'schema_version,id,value,unit,uncertainty,failure\nmfal.results/1,"a', "is no CSV"),
]


@pytest.mark.parametrize(("content", "message"), TABLES, ids=[f"{i}" for i in range(len(TABLES))])
def test_a_bad_table_is_refused(campaign, content, message):
    assert message in refused(campaign, content, "csv")


def test_an_id_stands_once_in_a_file(campaign):
    name = door.ids(campaign)["AlNi"]
    one = {"id": name, "value": "-0.5", "unit": "eV/atom"}
    said = refused(campaign, door.table(one, one), "csv")
    assert f"results.csv:3: id = {name!r}: stands in line 2 already" in said


def test_all_problems_are_named_at_once(campaign):
    names = door.ids(campaign)
    bad = [{"id": names[c], "value": v, "unit": "eV/atom"} for c, v in (("AlCo", "x"), ("AlNi", "y"), ("TiNi", "z"))]
    said = refused(campaign, door.table(*bad), "csv")
    assert [line.split(":")[1] for line in said.splitlines()[:3]] == ["2", "3", "4"]


def test_the_id_of_another_campaign_is_unknown(campaign, tmp_path):
    other = door.prepared(tmp_path / "other", door.config(campaign={"seed": 2}))
    assert "was not asked" in refused(campaign, door.document(door.row(door.ids(other)["AlNi"])), "json")


def test_json_lines_are_found_in_any_layout(campaign):
    rows = [door.row(door.ids(campaign)["AlCo"], extra={"text": '{"[\\"'}), door.row("nothing")]
    content = json.dumps({"schema_version": "mfal.results/1", "results": rows}, indent=1).encode()
    line = content[: content.index(b'"nothing"')].count(b"\n")
    assert f"results.json:{line}: id = 'nothing'" in refused(campaign, content, "json")
