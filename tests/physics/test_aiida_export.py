"""``mfal export --to aiida``: AiiDA itself reads the archive back, and finds in it what the ledger names."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("aiida.common")  # AiiDA itself is imported by processes of its own

from mfal.campaign.config import parse
from mfal.campaign.loop import Campaign
from mfal.campaign.record import recorded_observation
from mfal.cli import main
from mfal.ledger import read_events
from mfal.oracle import Observation
from physics.queue.aiida_queue import AiidaQueue
from physics.queue.client import environment
from physics.queue.job import Job
from physics.queue.settings import settings_from
from tests import synthetic

HERE = Path(__file__).parent
# Imports an archive into a fresh profile and says of each calculation of a batch: results, parents, exit status.
READ_BACK = """
import json, sys
from aiida import load_profile
from aiida.orm import CalcJobNode, QueryBuilder
from aiida.storage.sqlite_temp import SqliteTempBackend
from aiida.tools.archive import import_archive
load_profile(SqliteTempBackend.create_profile("fresh"), allow_switch=True)
import_archive(sys.argv[1])
nodes = QueryBuilder().append(CalcJobNode).all(flat=True)
print(json.dumps({node.uuid: {
    "status": node.exit_status, "results": node.outputs.results.get_dict(), "computer": node.computer.label,
    "batch": json.loads(node.inputs.batch.get_content()), "log": node.outputs.retrieved.list_object_names(),
} for node in nodes}))
"""


class QueuedOracle(synthetic.TableOracle):
    """Answers from the table, at level 1 once a job on AiiDA has ended; the first of them comes from elsewhere."""

    def __init__(self, context):
        super().__init__(context)
        self.queue = AiidaQueue(context.directory, context.cache, 2, settings_from(context.queue))
        self.asked = {}

    def submit(self, queries):
        if self.options["level"] != 1:
            return super().submit(queries)
        jobs = [Job("queue_kinds:echo", {"marks": str(self.log.parent / "marks"), "value": q.candidate}, q.candidate)
                for q in queries]  # fmt: skip
        self.asked |= dict(zip(self.queue.submit(jobs), queries, strict=True))
        return [query.key for query in queries]

    def collect(self):
        answers = self.queue.poll() if self.asked else {}
        for key in [key for key in self.asked if key in answers]:
            query, answer = self.asked.pop(key), answers[key]
            found, first = self._answer(query), len(self.asked) == 0
            details = {**found.details, "node": "another campaign's" if first else answer["node"]}
            self.ready.append(Observation(found.candidate, found.fidelity, found.value, None, 1.0, None, details))
        return super().collect()

    def close(self):
        self.queue.close()


@pytest.fixture(scope="module")
def campaign(tmp_path_factory):
    """Directory of a finished campaign on AiiDA; read it, do not write to it."""
    directory = tmp_path_factory.mktemp("campaign") / "queued"
    rungs = [{**rung, "limit": 4} if rung["name"] == "middle" else rung for rung in synthetic.RAW["fidelity"]]
    raw = {**synthetic.RAW, "fidelity": rungs, "dft": {"queue": {"engine": "aiida"}}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{HERE}{os.pathsep}{HERE.parents[1]}")
        patch.setattr(synthetic, "TableOracle", QueuedOracle)
        running = Campaign.start(parse(raw, Path("synthetic.toml")), directory)
        running.run(lambda _: None)
        running.close()
    return directory


def named_nodes(campaign):
    details = [recorded_observation(event.payload).details for event in read_events(campaign)
               if event.kind == "observation"]  # fmt: skip
    return {found["node"] for found in details if "node" in found}


def test_aiida_finds_what_the_ledger_names(campaign, tmp_path, capsys):
    file, nodes = tmp_path / "calculations.aiida", named_nodes(campaign)
    assert main(["export", str(campaign), "--to", "aiida", "--output", str(file)]) == 0
    said = capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == [file.name], "nothing else is left"
    home = tmp_path / "home"
    done = subprocess.run([sys.executable, "-c", READ_BACK, str(file)], env=environment(home), capture_output=True,
                          text=True, timeout=120, check=False)  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(nodes) > 1 and nodes - set(found) == {"another campaign's"}
    for uuid, node in found.items():
        assert node["status"] == 0 and node["computer"] == "local" and "log.txt" in node["log"]
        (asked,), (answer,) = node["batch"]["jobs"], node["results"].values()
        assert answer["value"] == asked["spec"]["value"] and answer["node"] == uuid
    assert f"{len(found)} batches of " in said and "node another campaign's is of no batch" in said
    assert f"1 calculation missing in {campaign / 'aiida'}" in said


def test_a_file_that_exists_is_kept(campaign, tmp_path, capsys):
    file = tmp_path / "calculations.aiida"
    file.write_text("mine")
    asked = ["export", str(campaign), "--to", "aiida", "--output", str(file)]
    assert main(asked) == 1 and file.read_text() == "mine" and "--force" in capsys.readouterr().err
    assert main([*asked, "--force"]) == 0 and file.read_bytes()[:2] == b"PK"


def test_a_campaign_without_aiida_is_refused(finished, tmp_path, capsys):
    assert main(["export", str(finished), "--to", "aiida", "--output", str(tmp_path / "x.aiida")]) == 1
    assert "[dft.queue] engine = 'aiida'" in capsys.readouterr().err
    assert main(["export", str(finished), "--to", "aiida", "--output", str(tmp_path / "x.zip")]) == 1
    assert "the name must end in" in capsys.readouterr().err
    assert not list(tmp_path.iterdir()) and not (finished / "aiida").exists()


def test_a_campaign_that_has_computed_nothing_is_refused(campaign, tmp_path, capsys):
    copy = Path(shutil.copytree(campaign, tmp_path / "copy", ignore=shutil.ignore_patterns("aiida")))
    assert main(["export", str(copy), "--to", "aiida", "--output", str(tmp_path / "x.aiida")]) == 1
    assert "has no profile of AiiDA" in capsys.readouterr().err and not (tmp_path / "x.aiida").exists()
    (copy / "aiida" / ".aiida").mkdir(parents=True)
    (copy / "aiida" / ".aiida" / "config.json").write_text("{")
    assert main(["export", str(copy), "--to", "aiida", "--output", str(tmp_path / "x.aiida")]) == 1
    assert "mfal queue doctor" in capsys.readouterr().err and not (tmp_path / "x.aiida").exists()
