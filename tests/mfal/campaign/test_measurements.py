"""What a laboratory's observations amount to: corrected where they say how they were read, as they came where not."""

import numpy as np
import pytest

from mfal.campaign.measurements import as_measured
from mfal.errors import DatasetError
from mfal.fidelity import Fidelity, Ladder
from mfal.oracle import Observation
from mfal.space.pool import Pool

POOL = Pool(["a", "b", "c"], np.arange(3.0)[:, None], ["x"])


def ladder(share=0.0):
    rungs = [Fidelity("low", "x", 1.0, 0.0, 1, 0.5), Fidelity("lab", "x", 9.0, 1.0, 1, 2.0, mistaken_share=share)]
    return Ladder("hardness", "HV", rungs, "lab")


def read(candidate, plate, off, values, **changes):
    readings = {
        "values": values, "sd": 1.0, "plate": plate, "calibration": 0, "weeks_since_calibration": plate / 7,
        "standards": [100.0 + off] * 4, "certified": 100.0, "certified_sd": 0.0, **changes,
    }  # fmt: skip
    return Observation(candidate, "lab", float(np.mean(values)), 1.0, 9.0, None, {"readings": readings})


def test_answers_without_readings_are_taken_as_they_came():
    assert as_measured(ladder(), POOL, [Observation("a", "low", 1.0, None, 1.0)]) is None


def test_where_mistakes_are_possible_all_answers_are_listed():
    told = [Observation("a", "low", 1.0, None, 1.0), Observation("b", "lab", 5.0, 3.0, 9.0),
            Observation("c", "lab", None, None, 9.0, "lost")]  # fmt: skip
    value, variance = as_measured(ladder(0.1), POOL, told)
    np.testing.assert_array_equal(value, [[1.0, 0.0], [0.0, 5.0], [0.0, 0.0]])
    np.testing.assert_array_equal(variance, [[0.25, 0.0], [0.0, 9.0], [0.0, 0.0]])


def test_a_plate_that_reads_too_high_is_brought_down_by_its_standards():
    """A plate 30 too high whose standards are read to 0.5: what is left is of that order, and stated so."""
    told = [read("a", 0, 0.0, [50.0, 50.0]), read("b", 1, 30.0, [80.0, 80.0]), read("c", 1, 30.0, [90.0])]
    value, variance = as_measured(ladder(), POOL, told)
    np.testing.assert_allclose(value[:, 1], [50.0, 50.0, 60.0], atol=1.0)
    assert (variance[:, 1] > [0.5, 0.5, 1.0]).all() and (variance[:, 1] < 2.0).all()
    assert not value[:, 0].any()


def test_a_later_standard_tells_about_an_earlier_plate():
    early = [read("a", 1, 5.0, [50.0], standards=[])]
    late = [*early, read("b", 2, 8.0, [60.0])]
    alone, together = (as_measured(ladder(), POOL, told)[0][0, 1] for told in (early, late))
    assert together < alone == 50.0


def test_readings_that_lack_a_field_are_refused():
    told = read("a", 0, 0.0, [50.0])
    del told.details["readings"]["plate"]
    with pytest.raises(DatasetError, match=r"lab:a: readings lack \['plate'\]"):
        as_measured(ladder(), POOL, [told])
