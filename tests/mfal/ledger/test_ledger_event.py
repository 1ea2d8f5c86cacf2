"""Events: canonical text and hash chain."""

import json
import math
import struct
from dataclasses import replace
from enum import StrEnum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfal.errors import LedgerError, TamperedLedgerError
from mfal.ledger.chain import GENESIS, check, link
from mfal.ledger.event import EventKind, canonical_json

TIME = "2025-01-01T00:00:00.000000+00:00"
FINITE = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
PAYLOADS = st.dictionaries(st.text(), JSON, max_size=4)


def chain_of(length):
    events = []
    for index in range(length):
        events.append(link(events[-1] if events else None, TIME, EventKind.DECISION, {"index": index}))
    return events


def bits(value):
    return struct.pack("<d", value)


@given(FINITE)
def test_floats_come_back_bit_for_bit(value):
    assert bits(json.loads(canonical_json({"x": value}))["x"]) == bits(value)


@pytest.mark.parametrize("value", [0.1 + 0.2, 1e-300, -0.0, 5e-324, 1.7976931348623157e308, np.float64(1 / 3)])
def test_notable_floats_come_back_bit_for_bit(value):
    assert bits(link(None, TIME, "stop", {"x": value}).payload["x"]) == bits(value)


@given(JSON)
def test_canonical_text_is_a_fixed_point(value):
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text
    assert text.isascii()


def test_canonical_text_ignores_order_and_sequence_type():
    text = '{"a":"\\u00e9","b":[1,2]}'
    assert canonical_json({"b": (1, 2), "a": "é"}) == canonical_json({"a": "é", "b": [1, 2]}) == text


def test_string_enums_are_stored_as_text():
    class Colour(StrEnum):
        RED = "red"

    payload = link(None, TIME, EventKind.STOP, {"colour": Colour.RED}).payload
    assert payload == {"colour": "red"} and type(payload["colour"]) is str


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_non_finite_floats_are_refused_by_key_path(value):
    with pytest.raises(LedgerError, match=r"payload\.posterior\[1\]\.mean=.*null"):
        link(None, TIME, "decision", {"posterior": [0.0, {"mean": value}]})


@pytest.mark.parametrize("value", [np.float32(1), np.arange(2), {1, 2}, b"x", object()])
def test_other_types_are_refused_by_key_path(value):
    with pytest.raises(LedgerError, match=r"payload\.a\.b is a \w+, which has no JSON form; convert"):
        link(None, TIME, "decision", {"a": {"b": value}})


def test_keys_that_are_not_text_are_refused():
    with pytest.raises(LedgerError, match=r"payload\.a has the key 1 of type int"):
        link(None, TIME, "decision", {"a": {1: 2}})


def test_unknown_kind_is_refused_with_those_known():
    with pytest.raises(LedgerError, match=r"kind='note'.*observation"):
        link(None, TIME, "note", {})


def test_event_is_detached_from_the_callers_payload():
    payload = {"list": [1]}
    event = link(None, TIME, "campaign", payload)
    payload["list"].append(2)
    check([event])


def test_chain_starts_at_genesis_and_links():
    events = chain_of(3)
    assert events[0].previous_hash == GENESIS
    assert [event.sequence for event in events] == [1, 2, 3]
    assert events[2].previous_hash == events[1].hash
    check(events)
    check([])


@given(PAYLOADS, PAYLOADS)
def test_hash_tells_payloads_apart(left, right):
    same = link(None, TIME, "stop", left).hash == link(None, TIME, "stop", right).hash
    assert same == (canonical_json(left) == canonical_json(right))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"time": TIME.replace("2025", "2024")}, "event 3 does not match its hash"),
        ({"kind": "stop"}, "event 3 does not match its hash"),
        ({"payload": {"index": 7}}, "event 3 does not match its hash"),
        ({"hash": "f" * 64}, "event 3 does not match its hash"),
        ({"previous_hash": "f" * 64}, "event 3 names"),
        ({"sequence": 4}, "gap at event 3: found event 4"),
    ],
)
def test_check_names_the_first_bad_event(change, message):
    events = chain_of(5)
    events[2] = replace(events[2], **change)
    with pytest.raises(TamperedLedgerError, match=message):
        check(events)


def test_check_finds_missing_and_swapped_events():
    events = chain_of(5)
    with pytest.raises(TamperedLedgerError, match="gap at event 1: found event 2"):
        check(events[1:])
    with pytest.raises(TamperedLedgerError, match="gap at event 2: found event 3"):
        check([events[0], *events[2:]])
    with pytest.raises(TamperedLedgerError, match="gap at event 4"):
        check([*events[:3], events[4], events[3]])
