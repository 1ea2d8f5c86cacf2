"""When advice counts as right, and that the table of situations is what it says."""

import json
import math

import numpy as np
import pytest

from benchmarks.inverse.advice import Run, judge, judged, line, read
from benchmarks.inverse.situations import Case, Task, cases
from pinn.advisor import Situation, advise


def never(seed: int) -> Task:
    """Make nothing: the judgement needs no data."""
    raise AssertionError(seed)


def runs(**found):
    """Return a run a back end from (error, seconds); an infinite error is no answer."""
    return [Run("a case", name, error, math.isfinite(error), seconds, "") for name, (error, seconds) in found.items()]


@pytest.mark.parametrize(
    ("situation", "found", "right"),
    [
        (Situation(), {"solver": (0.01, 1.0), "pinn": (0.02, 9.0)}, True),
        (Situation(), {"solver": (0.012, 1.0), "pinn": (0.01, 9.0)}, True),
        (Situation(), {"solver": (0.02, 1.0), "pinn": (0.01, 9.0)}, False),
        (Situation(), {"solver": (0.01, 30.0), "pinn": (0.01, 9.0)}, False),
        (Situation(), {"solver": (0.01, 30.0), "pinn": (0.05, 9.0)}, True),
        (Situation(), {"solver": (np.inf, 1.0), "pinn": (0.05, 9.0)}, False),
        (Situation(), {"solver": (np.inf, 1.0), "pinn": (np.inf, 9.0)}, False),
        (Situation(law="none"), {"solver": (np.inf, 1.0), "pinn": (np.inf, 9.0)}, True),
        (Situation(law="none"), {"solver": (0.01, 1.0), "pinn": (np.inf, 9.0)}, False),
    ],
)
def test_the_advised_back_end_must_be_as_good_as_the_best_and_as_fast(situation, found, right):
    assert judge(Case("a case", situation, never), runs(**found)) is right


def test_the_table_has_a_dozen_situations_and_both_kinds_of_advice():
    table = cases()
    advised = [advise(case.situation).backend for case in table]
    assert len({case.name for case in table}) == len(table) >= 12
    assert advised.count("none") >= 3 and advised.count("solver") >= 6


def test_data_are_those_of_the_situation():
    by_name = {
        case.name: case.make(0) for case in cases() if case.name in ("segmentation", "two frames", "frames missing")
    }
    assert set(np.unique(by_name["segmentation"].series.frames)) == {0.0, 1.0}
    assert len(by_name["two frames"].series.frames) == 2 and by_name["two frames"].rates is None
    missing = np.isnan(by_name["frames missing"].series.frames).all(axis=(1, 2))
    assert missing.sum() == 4


def test_runs_survive_their_lines_of_json_and_are_judged_when_complete():
    found = runs(solver=(0.01, 1.0), field=(0.01, 9.0), pinn=(np.inf, 90.0))
    lines = [line(done) for done in found]
    assert [read(one) for one in lines] == found
    assert json.loads(lines[2], parse_constant=pytest.fail)["error"] is None
    table = [Case("a case", Situation(), never), Case("another", Situation(), never)]
    assert judged(table, lines) == {"advisor_right": 1, "advisor_situations": 1}
    assert judged(table, lines[:2]) == {"advisor_right": 0, "advisor_situations": 0}
