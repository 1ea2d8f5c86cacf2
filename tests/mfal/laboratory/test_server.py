"""The door over HTTP: as strict as the command line, and shut to strangers."""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from mfal.laboratory.ask import ask
from mfal.laboratory.problems import RefusedResultsError
from mfal.laboratory.reading import MOST_BYTES
from mfal.laboratory.schema import ResultRow
from mfal.laboratory.server import application
from mfal.laboratory.tell import tell
from mfal.laboratory.told import LABORATORY, read_told
from mfal.ledger import lock
from tests.mfal.laboratory import door

TOKEN = "a token for the tests only, of some length"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def campaign(tmp_path):
    return door.prepared(tmp_path / "campaign")


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Serve a campaign on a free port of this machine and give the address."""
    settled = uvicorn.Config(application(directory, TOKEN), port=0, log_level="error", ws="none", lifespan="off")
    server = uvicorn.Server(settled)
    thread = Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def address(campaign):
    with serving(campaign) as found:
        yield found


@pytest.fixture
def client(address):
    with httpx.Client(base_url=address, headers=HEADERS) as found:
        yield found


def post(client, content: bytes, kind: str = "application/json", **query: object):
    return client.post("/results", content=content, headers={"Content-Type": kind}, params=query)


def test_the_batch_is_the_one_of_the_command_line(client, campaign):
    answer = client.get("/batch")
    assert answer.status_code == 200
    assert answer.json() == ask(campaign).model_dump(mode="json")


def test_results_are_taken_in_and_leave_the_batch(client, campaign):
    names = door.ids(campaign)
    receipt = post(client, door.document(door.row(names["AlNi"]))).json()
    assert (receipt["results"], receipt["recorded"]) == ([names["AlNi"]], True)
    assert read_told(campaign).newest("calorimetry:AlNi").source == "results.json"
    assert names["AlNi"] not in {query["id"] for query in client.get("/batch").json()["queries"]}
    again = post(client, door.document(door.row(names["AlNi"]))).json()
    assert (again["results"], again["repeated"], again["recorded"]) == ([], [names["AlNi"]], False)
    status = client.get("/status").json()
    assert (status["waiting"], status["unlearnt"], status["spent_eur"]) == (3, 1, 0.0)


def test_csv_is_taken_in_too(client, campaign):
    content = door.table({"id": door.ids(campaign)["AlNi"], "value": "-0.5", "unit": "eV/atom"})
    assert post(client, content, "text/csv; charset=utf-8").json()["recorded"]


def test_a_dry_run_records_nothing(client, campaign):
    answer = post(client, door.document(door.row(door.ids(campaign)["AlNi"])), dry_run=True)
    assert (answer.status_code, answer.json()["recorded"]) == (200, False)
    assert not (campaign / LABORATORY).exists()


BAD = [
    (b"{", "application/json"),
    (door.document(door.row("nothing")), "application/json"),
    (door.document(door.row("nothing"), door.row("nothing", 99.0)), "application/json"),
    (b"schema_version,id\n", "text/csv"),
    (b"\xff", "text/csv"),
]


@pytest.mark.parametrize(("content", "kind"), BAD, ids=range(len(BAD)))
def test_what_tell_refuses_is_refused_for_the_same_reasons(client, campaign, content, kind):
    form = "json" if kind == "application/json" else "csv"
    with pytest.raises(RefusedResultsError) as caught:
        tell(campaign, content, form, f"results.{form}", True)
    answer = post(client, content, kind)
    assert answer.status_code == 422
    assert answer.json()["detail"] == str(caught.value)
    assert [problem["remedy"] for problem in answer.json()["problems"]] == [p.remedy for p in caught.value.problems]


@pytest.mark.parametrize(("method", "path"), [("GET", "/batch"), ("POST", "/results"), ("GET", "/status")])
def test_strangers_are_sent_away(address, method, path):
    for offered in (None, "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer \xfc"):
        headers = {} if offered is None else {"Authorization": offered.encode("latin-1")}
        answer = httpx.request(method, address + path, headers=headers)
        assert answer.status_code == 401, offered
        assert answer.headers["www-authenticate"] == "Bearer"


def test_tokens_are_compared_in_constant_time(client, monkeypatch):
    import hmac

    compared = []
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append((a, b)) or a == b)
    assert client.get("/status").status_code == 200
    assert compared == [(TOKEN.encode(), TOKEN.encode())]


def test_large_bodies_and_other_types_are_refused(client):
    assert post(client, b" " * (MOST_BYTES + 1)).status_code == 413
    assert post(client, b"<a/>", "text/xml").status_code == 415


def test_a_ledger_that_is_being_written_is_no_server_error(client, campaign, monkeypatch):
    import mfal.laboratory.told

    monkeypatch.setattr(mfal.laboratory.told, "_PATIENCE_SECONDS", 0.1)
    held = lock.acquire(campaign / "laboratory.lock")
    try:
        answer = post(client, door.document(door.row(door.ids(campaign)["AlNi"])))
    finally:
        lock.release(held)
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "5")
    assert not (campaign / LABORATORY).exists()


def test_nothing_signs_over_http(campaign):
    paths = application(campaign, TOKEN).openapi()["paths"]
    assert {(method, path) for path, calls in paths.items() for method in calls} == {
        ("get", "/batch"),
        ("get", "/status"),
        ("post", "/results"),
    }


def test_the_description_is_complete(campaign):
    described = application(campaign, TOKEN).openapi()
    named = set(re.findall(r'"#/([^"]*)"', json.dumps(described)))
    assert named
    assert all(place.split("/")[-1] in described["components"]["schemas"] for place in named)
    row = described["paths"]["/results"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(row["properties"]["results"]["items"]["properties"]) == set(ResultRow.model_fields)


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize("path", ["/batch", "/results", "/status"])
def test_the_description_is_kept_whatever_is_sent(address, path, mode):
    """25 requests to each call that its description allows, and 25 that it forbids."""
    described = schemathesis.openapi.from_url(f"{address}/openapi.json")[path]
    statuses = []

    @given(case=next(iter(described.values())).as_strategy(generation_mode=mode))
    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    def check(case):
        statuses.append(case.call_and_validate(headers=HEADERS, checks=CHECKS).status_code)

    check()
    assert statuses
    assert mode is GenerationMode.NEGATIVE or 401 not in statuses, "forbidden requests may carry another token"
