"""``mfal export`` of a campaign with calculations: each file is read back by the library that it is for."""

import json
import shutil
import sqlite3
from pathlib import Path

import pytest

ase_db = pytest.importorskip("ase.db")
emmet_document = pytest.importorskip("physics.documents.emmet_document", exc_type=ImportError)
models = pytest.importorskip("optimade.models", exc_type=ImportError)

from ase.build import bulk  # noqa: E402

from mfal.campaign.loop import Campaign  # noqa: E402
from mfal.campaign.record import recorded_observation  # noqa: E402
from mfal.cli import main  # noqa: E402
from mfal.ledger import read_events  # noqa: E402
from mfal.oracle import Observation  # noqa: E402
from physics.prototypes import as_record, build  # noqa: E402
from physics.queue.result_cache import ResultCache, content_hash  # noqa: E402
from physics.structures import Named, read_structures  # noqa: E402
from tests import synthetic  # noqa: E402


class CalculatingOracle(synthetic.TableOracle):
    """Answers from the table, and leaves behind what CHGNet (level 0) and GPAW (level 1) would.

    GPAW's first calculation fails, and the result of its second is lost.
    """

    def __init__(self, context):
        super().__init__(context)
        self.cache = ResultCache(context.cache)
        self.turn = 0

    def _answer(self, query):
        found = super()._answer(query)
        if self.options["level"] == 2:
            return found
        self.turn += self.options["level"]
        atoms = build("B2", "Ti", "Ni", 10.0 + self.index(query.candidate))
        keys = [self._compound(atoms, query.candidate), self._element("Ti"), self._element("Ni")]
        details = {**found.details, "calculations": [key[:16] for key in keys]}
        if self.options["level"] == 0:
            details["structure"] = as_record(atoms)
        failure = "did not converge" if self.turn == 1 else None
        value = None if failure else found.value
        return Observation(found.candidate, found.fidelity, value, None, found.price_eur, failure, details)

    def _compound(self, atoms, candidate):
        if self.options["level"] == 0:
            asked = {"elements": ["Ti", "Ni"], "volume": atoms.get_volume(), "chgnet": "0.4.2"}
            return self._store("physics.mlip.formation:chgnet_jobs[]", asked, {"structure": as_record(atoms)})
        asked = {"structure": as_record(atoms), "settings": {"name": "fast"}, "gpaw": "26.7.0", "setups": "1.2.1"}
        failed = {"failure": "did not converge"} if self.turn == 1 else {"node": f"uuid of {candidate}"}
        return self._store("physics.dft.gpaw:single_point_job", asked, failed, lost=self.turn == 2)

    def _element(self, symbol):
        if self.options["level"] == 0:
            return self._store("physics.mlip.formation:chgnet_jobs[]", {"element": symbol, "chgnet": "0.4.2"}, {})
        asked = {"structure": as_record(bulk(symbol, "bcc", 3.0)), "settings": {"name": "fast"}, "gpaw": "26.7.0"}
        return self._store("physics.dft.gpaw:single_point_job", asked, {})

    def _store(self, kind, asked, result, lost=False):
        key = content_hash(kind, asked)
        energy = {} if "failure" in result else {"energy_ev_per_atom": -6.0}
        if not lost:
            self.cache.write(key, kind, asked, {**energy, **result, "seconds": 1.0})
        return key


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Directory of a finished campaign with calculations; read it, do not write to it."""
    directory = tmp_path_factory.mktemp("campaign") / "calculated"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "TableOracle", CalculatingOracle)
        running = Campaign.start(synthetic.config(), directory)
        running.run(lambda _: None)
        running.close()
    return directory


@pytest.fixture(scope="module")
def observations(campaign):
    """Observations by the hash of their event."""
    events = [event for event in read_events(campaign) if event.kind == "observation"]
    return {event.hash: recorded_observation(event.payload) for event in events}


def exported(campaign, to, output, *more):
    assert main(["export", str(campaign), "--to", to, "--output", str(output), *more]) == 0
    return output


def stored(campaign):
    """Keys of all stored calculations."""
    return {file.stem for file in (campaign / "cache").rglob("*.json")}


def test_every_calculation_is_a_document_that_names_its_observations(campaign, observations, tmp_path, capsys):
    file = exported(campaign, "emmet", tmp_path / "all.json")
    said = capsys.readouterr().out
    documents = [emmet_document.CalculationDocument.model_validate(one) for one in json.loads(file.read_text())]
    assert {one.content_hash for one in documents} == stored(campaign) and len(documents) == len(stored(campaign))
    forth = {(event, name) for event, found in observations.items() for name in found.details.get("calculations", [])}
    back = {(link.event_hash, one.content_hash[:16]) for one in documents for link in one.observations}
    assert back <= forth and len(forth - back) == 1, "all but the one without a result"
    for link in (link for one in documents for link in one.observations):
        found = observations[link.event_hash]
        assert (link.value, link.price_eur, link.failure) == (found.value, found.price_eur, found.failure)
    failed = [one for one in documents if not one.completed]
    assert [link.event_hash for one in failed for link in one.observations] == [
        key for key, found in observations.items() if found.failure
    ]
    nodes = {link.candidate: one.calc_meta.identifier for one in documents for link in one.observations}
    assert any(node == f"uuid of {candidate}" for candidate, node in nodes.items())
    high = sum(found.fidelity == "high" for found in observations.values())
    assert "has no file" in said
    assert f"{len(documents)} documents of {len(observations)} observations; {high} observations left out" in said
    assert "; 1 calculation missing in " in said and said.rstrip().endswith(f": {file}")


def test_documents_line_by_line_are_the_same(campaign, tmp_path):
    listed = json.loads(exported(campaign, "emmet", tmp_path / "all.json").read_text())
    lines = exported(campaign, "emmet", tmp_path / "all.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == listed


def test_structures_for_optimade(campaign, observations, tmp_path):
    file = exported(campaign, "optimade", tmp_path / "structures.json")
    response = models.StructureResponseMany.model_validate_json(file.read_text())
    assert all(isinstance(one, models.StructureResource) for one in response.data)
    assert response.meta.data_returned == len(response.data) == len({one.id for one in response.data})
    # CHGNet's elements have no structure here
    assert {one.id for one in response.data} < stored(campaign) and len(response.data) == len(stored(campaign)) - 2
    linked = {link["event_hash"] for one in response.data for link in one.attributes.model_extra["_mfal_observations"]}
    assert linked <= set(observations)
    read = list(read_structures([file]))
    assert all(isinstance(one, Named) for one in read) and len(read) == len(response.data), "mfal screen reads it"


def test_a_database_of_ase(campaign, observations, tmp_path, capsys):
    file = exported(campaign, "ase", tmp_path / "all.db")
    database = ase_db.connect(file)
    assert database.metadata["title"] == "synthetic" and len(database.metadata["head_hash"]) == 64
    rows = list(database.select(role="candidate"))
    # measurements have no structure, and the geometry of a lost calculation is lost
    expected = {key for key, found in observations.items() if found.fidelity != "high"}
    assert {row.event_hash for row in rows} < expected and len(rows) == len(expected) - 1
    for row in rows:
        found = observations[row.event_hash]
        assert (row.candidate, row.fidelity, row.price_eur) == (found.candidate, found.fidelity, found.price_eur)
        assert row.get("value") == found.value and row.get("failure") == found.failure
        assert row.data["calculations"] == found.details["calculations"]
        assert row.calculation[:16] == found.details["calculations"][0]
        assert row.get("energy") == (None if found.failure else pytest.approx(-12.0))
    assert {row.formula for row in database.select(role="reference", fidelity="middle")} == {"Ti", "Ni"}
    assert f"{database.count()} rows of {len(observations)} observations" in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["all.db"], "neither lock nor journal is left"


def test_without_calculations_structures_come_from_the_ledger(campaign, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    bare = "--cache", str(tmp_path / "empty")
    database = ase_db.connect(exported(campaign, "ase", tmp_path / "all.db", *bare))
    assert database.count() == database.count(fidelity="low") == synthetic.SIZE
    row = database.get(candidate="c03")
    assert row.get("energy") is None and row.data["observation"]["event_hash"] == row.event_hash
    assert json.loads(exported(campaign, "emmet", tmp_path / "all.json", *bare).read_text()) == []
    assert exported(campaign, "emmet", tmp_path / "all.jsonl", *bare).read_text() == ""
    file = exported(campaign, "optimade", tmp_path / "o.json", *bare)
    assert models.StructureResponseMany.model_validate_json(file.read_text()).data == []
    assert f"- and {len(stored(campaign)) + 1 - 5} more\n" in capsys.readouterr().out


def test_text_that_looks_like_a_number_is_quoted_for_ase(tmp_path):
    from physics.documents.ase_database import Row, _searchable, write

    awkward = {"candidate": "007", "hash": "12e4567890123456", "name": "NaN", "failure": "it's odd, 'really'", "n": 3}
    pairs = _searchable(awkward | {"none": None})
    assert pairs == awkward | {"candidate": "'007'", "hash": "'12e4567890123456'", "name": "'NaN'"}
    write(tmp_path / "x", [Row(bulk("Cu"), pairs)], "c", "h", "energy", "eV")
    assert ase_db.connect(tmp_path / "x", type="db").get(n=3).key_value_pairs == pairs


@pytest.mark.parametrize(
    "to, name", [("emmet", "x.db"), ("optimade", "x.jsonl"), ("ase", "x.json"), ("ase", "x.sqlite")]
)
def test_a_name_that_readers_would_misunderstand_is_refused(campaign, tmp_path, capsys, to, name):
    assert main(["export", str(campaign), "--to", to, "--output", str(tmp_path / name)]) == 1
    assert "the name must end in" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "to, name, package", [("emmet", "x.json", "emmet"), ("optimade", "x.json", "optimade"), ("ase", "x.db", "ase")]
)
def test_a_missing_package_names_its_extra(campaign, tmp_path, monkeypatch, capsys, to, name, package):
    monkeypatch.setattr("mfal.oracle.importlib.util.find_spec", lambda one: None if one == package else one)
    assert main(["export", str(campaign), "--to", to, "--output", str(tmp_path / name)]) == 1
    assert (
        f"package='{package}' is not installed; install it with: pip install 'mfal[documents]'"
        in capsys.readouterr().err
    )
    assert not list(tmp_path.iterdir())


def test_a_database_that_cannot_be_written_leaves_nothing(campaign, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr("ase.db.sqlite.SQLite3Database._write", full)
    assert main(["export", str(campaign), "--to", "ase", "--output", str(tmp_path / "x.db")]) == 1
    assert "x.db cannot be written (OperationalError: database or disk is full)" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_damaged_calculations_are_counted_and_left_alone(campaign, tmp_path, capsys):
    copy = Path(shutil.copytree(campaign, tmp_path / "copy"))
    file = sorted((copy / "cache").rglob("*.json"))[0]
    file.write_bytes(file.read_bytes()[:-20])
    before = file.read_bytes()
    exported(copy, "emmet", tmp_path / "x.json")
    assert f"- calculation {file.stem[:16]}: cannot be read" in capsys.readouterr().out
    assert file.read_bytes() == before and len(json.loads((tmp_path / "x.json").read_text())) == len(stored(copy)) - 1
