"""Prices: the model follows size and past jobs, and what cannot end in time is refused before anything is spent."""

import pytest

pytest.importorskip("gpaw")

from ase.build import bulk

from mfal.fidelity import Fidelity
from mfal.oracle import OracleContext, Query
from physics import oracles
from physics.dft.formation import SINGLE_POINT
from physics.dft.prices import ENOUGH, SECONDS_PER_WORK, START_SECONDS, CostModel, learnt, work_of
from physics.dft.settings import resolve
from physics.prototypes import as_record
from physics.queue.result_cache import ResultCache, content_hash


def spec(atoms, protocol="fast"):
    return {"structure": as_record(atoms), "settings": resolve(protocol, "PBE", set(atoms.symbols)).record()}


def test_work_grows_with_size_and_settings():
    """Three times the atoms: three times the plane waves and bands, a third of the k-points or more."""
    small, large = work_of(spec(bulk("Al"))), work_of(spec(bulk("Al") * (3, 1, 1)))
    assert 2.5 * small < large < 6 * small
    assert work_of(spec(bulk("Al"), "precise")) > 5 * small
    assert work_of(spec(bulk("Tc", "hcp", 2.74, 4.40))) == 0
    assert CostModel(1.0).seconds(spec(bulk("Tc", "hcp", 2.74, 4.40))) == 0


def test_past_jobs_are_learnt_from():
    """The median of the rates; failures, and too few jobs, teach nothing."""
    specs = [spec(bulk(symbol)) for symbol in ("Al", "Cu", "Ag", "Au", "Pt")]
    past = [(one, {"seconds": START_SECONDS + 1e-4 * work_of(one), "cores": 1}) for one in specs]
    assert learnt(past, "PBE").seconds(specs[0]) == pytest.approx(START_SECONDS + 1e-4 * work_of(specs[0]))
    given = CostModel(SECONDS_PER_WORK["PBE"])
    assert given == learnt(past[: ENOUGH - 1], "PBE") == learnt([(one, {"failure": ""}) for one in specs], "PBE")
    assert learnt(past, "r2SCAN") == CostModel(SECONDS_PER_WORK["r2SCAN"]), "another functional takes another time"


def test_what_cannot_end_in_time_costs_nothing(tmp_path):
    """500 atoms against a minute: a failure with the estimate and the remedy, no job, no money."""
    pool = oracles.measured_intermetallics({"limit": 2, "include": ["AlNi", "ScPt"]})
    fidelity = Fidelity("gpaw", "gpaw", 1.0, 1.0, 4, 0.0, requires=("chgnet",))
    queue = {"engine": "aiida", "computer": "local", "walltime_minutes": 1}
    oracle = oracles.gpaw(OracleContext(tmp_path / "campaign", tmp_path / "cache", fidelity, pool, 2, queue))
    known = {"chgnet": {"structure": as_record(bulk("Al", cubic=True) * (5, 5, 5))}}
    oracle.submit([Query("AlNi", "gpaw", 1.0, known)])
    (answer,) = oracle.collect()
    assert answer.price_eur == 0 and "walltime_minutes" in answer.failure and "60 s" in answer.failure
    assert not oracle.running() and not (tmp_path / "campaign").exists()


def test_the_cache_knows_the_latest_of_a_kind(tmp_path):
    cache = ResultCache(tmp_path)
    for number in range(4):
        kind = SINGLE_POINT if number % 2 else "other"
        cache.write(content_hash(kind, {"number": number}), kind, {"number": number}, {"value": number})
    (tmp_path / "00").mkdir(exist_ok=True)
    (tmp_path / "00" / "damaged.json").write_text("{")
    assert sorted(result["value"] for _, result in cache.latest(SINGLE_POINT, 10)) == [1, 3]
    assert cache.latest(SINGLE_POINT, 0) == []
