"""Replay: records survive the ledger bit for bit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfal.errors import LedgerError
from mfal.ledger import Ledger, read_events
from mfal.ledger.chain import link
from mfal.ledger.event import canonical_json
from mfal.ledger.replay import observation_from_payload, observation_payload
from mfal.oracle import Observation

FINITE = st.floats(allow_nan=False, allow_infinity=False)
TIME = "2025-01-01T00:00:00.000000+00:00"
OBSERVATIONS = st.builds(
    Observation,
    candidate=st.text(),
    fidelity=st.text(),
    value=st.none() | FINITE,
    noise_sd=st.none() | FINITE,
    price_eur=FINITE,
    failure=st.none() | st.text(),
    details=st.dictionaries(st.text(), FINITE | st.lists(FINITE) | st.text() | st.booleans() | st.none(), max_size=3),
)


def assert_same(found, expected):
    """Compare also the signs of zeros, which == does not tell apart."""
    assert found == expected
    assert canonical_json(observation_payload(found)) == canonical_json(observation_payload(expected))


@given(OBSERVATIONS)
def test_observations_round_trip(observation):
    payload = link(None, TIME, "observation", observation_payload(observation)).payload
    assert payload["key"] == observation.key
    assert_same(observation_from_payload(payload), observation)


@settings(max_examples=10, deadline=None)
@given(st.lists(OBSERVATIONS, unique_by=lambda observation: observation.key, max_size=5))
def test_observations_round_trip_through_the_file(tmp_path_factory, observations):
    place = tmp_path_factory.mktemp("ledger")
    with Ledger.create(place) as ledger:
        ledger.append_many([("observation", observation_payload(observation)) for observation in observations])
    for event, observation in zip(read_events(place), observations, strict=True):
        assert_same(observation_from_payload(event.payload), observation)


@pytest.mark.parametrize("change", [{"extra": 1}, {"key": "dft:Other"}, {"candidate": "Other"}])
def test_odd_payloads_are_refused(change):
    observation = Observation("AlNi", "dft", -0.6, None, 1.0)
    with pytest.raises(LedgerError, match="a recorded observation has"):
        observation_from_payload(observation_payload(observation) | change)


def test_a_payload_without_a_value_is_refused():
    payload = observation_payload(Observation("AlNi", "dft", -0.6, None, 1.0))
    del payload["value"]
    with pytest.raises(LedgerError, match="value"):
        observation_from_payload(payload)
