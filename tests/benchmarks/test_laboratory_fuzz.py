"""The short form of the fuzzing of the laboratory's door, and that the fuzzing would notice a fault."""

import random
from decimal import Decimal
from fractions import Fraction
from itertools import takewhile

import pytest

import mfal.laboratory.assess
import mfal.laboratory.read_csv
from benchmarks.laboratory import documents
from benchmarks.laboratory.fuzz import fate, fuzz
from mfal.laboratory.tell import tell
from mfal.laboratory.told import LABORATORY
from mfal.ledger import read_events
from tests.mfal.laboratory import door

COUNT = 600


def test_every_mutant_is_refused_or_understood():
    found = fuzz(COUNT, seed=1)
    assert found.silently_accepted == ()
    assert found.crashes == ()
    assert found.refused + found.accepted == found.fuzzed == COUNT
    assert found.accepted > COUNT / 20, "some mutants are still sound files"
    assert found.refused > COUNT / 2


@pytest.mark.parametrize("form", ["csv", "json"])
def test_sound_files_are_accepted(form):
    rng = random.Random(2)
    assert {fate(documents.document(form, rng), form) for _ in range(50)} == {"accepted"}


def test_a_wrong_factor_would_be_noticed(monkeypatch):
    right = mfal.laboratory.assess.factor
    wrong = lambda unit, to: Fraction(1, 100) if unit == "meV/atom" else right(unit, to)  # noqa: E731
    monkeypatch.setattr(mfal.laboratory.assess, "factor", wrong)
    assert fuzz(COUNT, seed=1).silently_accepted


def test_a_lenient_number_would_be_noticed(monkeypatch):
    monkeypatch.setattr(mfal.laboratory.read_csv, "_number", careless)
    assert fuzz(COUNT, seed=1).silently_accepted


def test_a_crash_would_be_noticed(monkeypatch):
    monkeypatch.setattr(mfal.laboratory.read_csv, "_number", {}.__getitem__)
    assert fuzz(COUNT, seed=1).crashes


def test_no_mutant_that_is_refused_leaves_a_trace(tmp_path):
    from benchmarks.laboratory.mutations import mutate
    from mfal.errors import ResultsRefusedError

    campaign, rng, refused = door.prepared(tmp_path / "campaign"), random.Random(3), 0
    for index in range(60):
        form = "csv" if index % 2 else "json"
        try:
            tell(campaign, mutate(documents.document(form, rng), rng), form, f"mutant.{form}", False)
        except ResultsRefusedError:
            refused += 1
    assert refused == 60, "the ids are of another campaign"
    assert not read_events(campaign / LABORATORY)


def careless(text: str) -> Decimal:
    """Read a number as a careless program would: whatever precedes the first letter that is none."""
    return Decimal("".join(takewhile(lambda letter: letter in "+-.0123456789", text)) or "0")
