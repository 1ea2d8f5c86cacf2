"""The entry points: options, the pool, the replay, and oracles over the queue."""

import time
from dataclasses import replace
from importlib.util import find_spec

import pytest

from mfal.errors import CampaignFileError, MissingExtraError, OracleError
from mfal.fidelity import Fidelity
from mfal.oracle import Oracle, OracleContext, Query, Replayable
from physics import oracles
from physics.formation_oracle import FormationOracle
from physics.prototypes import as_record, build
from physics.queue.job import Job
from physics.thermodynamics.formation_energy import FormationPlan


@pytest.fixture(scope="module")
def pool():
    return oracles.measured_intermetallics({"limit": 6, "include": ["AlNi", "ScPt"]})


@pytest.fixture
def context(tmp_path, pool):
    def make(name, requires=(), **options):
        fidelity = Fidelity(name, name, 1.0, 0.1, 4, 0.1, requires=requires, options=options)
        return OracleContext(tmp_path / "campaign", tmp_path / "cache", fidelity, pool, 2)

    return make


def collect(oracle, count, limit=60.0):
    deadline, found = time.monotonic() + limit, []
    while len(found) < count:
        assert time.monotonic() < deadline, oracle.running()
        found += oracle.collect()
        time.sleep(0.1)
    return {item.candidate: item for item in found}


def test_pool(pool):
    assert len(pool) == 6
    assert {"AlNi", "ScPt"} <= set(pool.ids)
    assert pool.payload["AlNi"] == {"elements": ["Al", "Ni"]}
    assert pool.ids == oracles.measured_intermetallics({"limit": 6, "include": ["AlNi", "ScPt"]}).ids
    assert len(oracles.measured_intermetallics({})) == 86


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limt": 3}, "limt.*limit"),
        ({"limit": 0}, "1 to 86"),
        ({"limit": 2.5}, "integer"),
        ({"include": ["NaCl"]}, "NaCl"),
        ({"include": ["AlNi", "ScPt"], "limit": 1}, "2 to 86"),
    ],
)
def test_pool_options_are_checked(options, words):
    with pytest.raises(CampaignFileError, match=words):
        oracles.measured_intermetallics(options)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("chgnet", {"prototype": ["B2"]}, "prototype.*prototypes"),
        ("chgnet", {"prototypes": ["B99"]}, "B99.*B33"),
        ("chgnet", {"prototypes": "B2"}, "list"),
        ("chgnet", {"weights": "1"}, "0.3.0"),
        ("gpaw", {"settings": "quick"}, "fast.*moderate"),
        ("gpaw", {"functional": "B3LYP"}, "LDA.*PBE"),
        ("gpaw", {"rate_eur_per_core_hour": -1}, "rate_eur_per_core_hour"),
        ("gpaw", {"geometry_from": "mace"}, "requires"),
        ("gpaw", {"relax_volume": 1}, "true or false"),
        ("measured", {"speed": 1}, "speed"),
    ],
)
def test_oracle_options_are_checked(context, name, options, words):
    with pytest.raises(CampaignFileError, match=words):
        getattr(oracles, name)(context(name, ("chgnet",), **options))


@pytest.mark.parametrize(("name", "package"), [("chgnet", "chgnet"), ("gpaw", "gpaw_data")])
def test_missing_package_is_told_before_anything_is_spent(context, monkeypatch, name, package):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == package else find_spec(name))
    with pytest.raises(MissingExtraError, match=package):
        getattr(oracles, name)(context(name, ("chgnet",)))


def test_replay(context, pool):
    oracle = oracles.measured(context("measured"))
    assert isinstance(oracle, Oracle)
    assert isinstance(oracle, Replayable)
    query = Query("ScPt", "measured", 500.0)
    oracle.submit([query])
    oracle.submit([query])
    (found,) = oracle.collect()
    assert found.value == pytest.approx(-1.0862, abs=1e-4)
    assert found.noise_sd == pytest.approx(0.056, abs=1e-3)
    assert found.price_eur == 500.0
    oracle.submit([query])
    assert oracle.collect() == []
    assert set(oracle.hidden_truth()) == set(pool.ids)


def test_gpaw_needs_the_geometry(context):
    oracle = oracles.gpaw(context("gpaw", ("chgnet",)))
    with pytest.raises(OracleError, match="chgnet"):
        oracle.submit([Query("AlNi", "gpaw", 1.0)])


@pytest.mark.slow
def test_chgnet_then_a_second_process_finds_the_results(context):
    first = oracles.chgnet(context("chgnet", prototypes=["B2"]))
    assert isinstance(first, Oracle)
    queries = [Query(name, "chgnet", 0.001) for name in ("AlNi", "ScPt")]
    first.submit(queries)
    first.submit(queries)
    assert first.running()
    found = collect(first, 2)
    assert first.collect() == []
    assert found["AlNi"].value == pytest.approx(-0.70, abs=0.1)
    assert found["AlNi"].details["prototype"] == "B2:Al"
    assert found["AlNi"].details["structure"]["numbers"]
    second = oracles.chgnet(context("chgnet", prototypes=["B2"]))
    second.submit(queries)
    assert {item.candidate: item for item in second.collect()} == found


def test_failed_calculation_is_a_failed_observation(context, monkeypatch):
    oracle = oracles.chgnet(context("chgnet", prototypes=["B2"]))
    query = Query("AlNi", "chgnet", 0.001)
    monkeypatch.setattr(type(oracle.queue), "submit", lambda self, jobs, together=1: [job.key for job in jobs])
    oracle.submit([query])
    _, _, keys = oracle._open[query.key]
    answers = {key: {"energy_ev_per_atom": -1.0} for key in keys} | {keys[0]: {"failure": "no prototype of AlNi"}}
    monkeypatch.setattr(type(oracle.queue), "poll", lambda self: answers)
    (found,) = oracle.collect()
    assert found.value is None
    assert found.price_eur == 0.001
    assert "no prototype" in found.failure


class Computed:
    """A queue whose jobs are answered at once, as if the first query that asked had caused them."""

    def __init__(self, seconds):
        self.seconds, self.answers = seconds, {}

    def submit(self, jobs, together=1):
        for job in jobs:
            answer = {"energy_ev_per_atom": -1.0, "seconds": self.seconds, "cores": 2, "payer": job.payer}
            self.answers.setdefault(job.key, answer)
        return [job.key for job in jobs]

    def poll(self):
        return dict(self.answers)


def test_core_hours_are_paid_by_the_query_that_caused_them():
    """Elements are shared: the first compound pays for them, a later driver that finds results pays nothing anew."""

    def plan(query):
        compound, *elements = (
            Job("kind", {"what": what}, what, payer=query.key) for what in (query.candidate, "Al", query.candidate[2:])
        )
        return FormationPlan(compound, tuple(elements), (0.5, 0.5))

    def observations(queue, *candidates):
        oracle = FormationOracle(queue, plan, lambda answers: {}, False, rate_eur_per_core_hour=0.1)
        oracle.submit([Query(name, "gpaw", 1.0) for name in candidates])
        return {item.candidate: item.price_eur for item in oracle.collect()}

    queue = Computed(seconds=1800.0)
    assert observations(queue, "AlNi", "AlTi") == pytest.approx({"AlNi": 0.3, "AlTi": 0.2})
    assert observations(queue, "AlTi", "AlFe") == pytest.approx({"AlTi": 0.2, "AlFe": 0.2})


class Held(Computed):
    """A queue that computes only what it is told to; the rest waits."""

    def __init__(self):
        super().__init__(seconds=1800.0)
        self.waiting = {}

    def submit(self, jobs, together=1):
        self.waiting |= {job.key: job for job in jobs if job.key not in self.answers and job.key not in self.waiting}

    def compute(self, *wanted):
        for key, job in list(self.waiting.items()):
            if job.spec["what"] in wanted:
                super().submit([self.waiting.pop(key)])

    def withdraw(self, keys):
        waits = keys <= self.waiting.keys()
        self.waiting = {key: job for key, job in self.waiting.items() if not (waits and key in keys)}
        return waits


@pytest.fixture
def held():
    """Two compounds that share an element, asked of a queue that waits; the first one pays for the element."""

    def plan(query):
        compound, *elements = (
            Job("kind", {"what": what}, what, payer=query.key) for what in (query.candidate, "Al", query.candidate[2:])
        )
        return FormationPlan(compound, tuple(elements), (0.5, 0.5))

    queue = Held()
    oracle = FormationOracle(queue, plan, lambda answers: {}, False, rate_eur_per_core_hour=0.1)
    first, second = (Query(name, "gpaw", 1.0, urgency=urgency) for name, urgency in (("AlNi", 1.0), ("AlTi", 2.0)))
    oracle.submit([first, second])
    return queue, oracle, first, second


def test_a_query_that_nothing_was_spent_on_is_taken_back(held):
    queue, oracle, first, _ = held
    assert {job.spec["what"]: job.urgency for job in queue.waiting.values()} == {
        "Al": 2.0, "Ni": 1.0, "AlNi": 1.0, "Ti": 2.0, "AlTi": 2.0,
    }  # fmt: skip
    assert oracle.withdraw([first]) == [first.key]
    assert {job.spec["what"] for job in queue.waiting.values()} == {"Al", "Ti", "AlTi"}
    queue.compute("Al", "Ti", "AlTi")
    (answer,) = oracle.collect()
    assert answer.price_eur == pytest.approx(0.3), "the element that both need is paid by who still needs it"
    oracle.submit([first])  # it may be asked again
    queue.compute("Ni", "AlNi")
    assert [item.price_eur for item in oracle.collect()] == [pytest.approx(0.2)]


@pytest.mark.parametrize("begun", ["Al", "Ni", "AlNi"])
def test_what_has_begun_to_cost_stays(held, begun):
    queue, oracle, first, _ = held
    queue.compute(begun)
    assert oracle.withdraw([first]) == []
    queue.compute("Al", "Ni", "AlNi")
    assert [item.candidate for item in oracle.collect()] == ["AlNi"]


def test_what_another_pays_for_does_not_keep_a_query(held):
    queue, oracle, _, second = held
    queue.compute("Al")
    assert oracle.withdraw([second]) == [second.key]
    assert {job.spec["what"] for job in queue.waiting.values()} == {"Ni", "AlNi"}


@pytest.mark.skipif(find_spec("gpaw") is None, reason="gpaw is not installed")
def test_expected_prices_follow_the_size(context):
    """A cell four times as large is dearer, and nothing is expected before the geometry is known."""
    oracle = oracles.gpaw(context("gpaw", requires=("chgnet",), settings="fast", rate_eur_per_core_hour=1.0))
    small, large = build("B2", "Al", "Ni", 12.0), build("B2", "Al", "Ni", 12.0).repeat((2, 2, 1))
    known = {name: {"chgnet": {"structure": as_record(atoms)}} for name, atoms in (("AlNi", small), ("AlTi", large))}
    prices = oracle.expected_prices_eur({**known, "AlFe": {}})
    assert prices.keys() == known.keys()
    assert 0 < prices["AlNi"] < prices["AlTi"]


def test_a_rate_needs_a_declared_price(context, monkeypatch):
    monkeypatch.setattr(oracles, "need_package", lambda package, extra: None)
    given = context("gpaw", requires=("chgnet",), rate_eur_per_core_hour=1.0)
    with pytest.raises(CampaignFileError, match="price_eur=0"):
        oracles.gpaw(replace(given, fidelity=replace(given.fidelity, price_eur=0.0)))
