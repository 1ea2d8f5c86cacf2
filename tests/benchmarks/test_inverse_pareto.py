"""Error against time of two arms, on courses whose ratios are known."""

import numpy as np
import pytest

from benchmarks.inverse.pareto import Course, error_ratio, time_ratio


def _course(seconds, errors):
    return Course(np.asarray(seconds, float), np.asarray(errors, float)[:, None])


def test_a_peer_that_takes_ten_times_as_long_to_the_same_error():
    ours = [_course([1.0, 2.0, 3.0], [0.5, 0.02, 0.01])]
    peer = [_course([10.0, 20.0, 30.0], [0.5, 0.02, 0.01])]
    assert time_ratio(peer, ours) == 10.0
    assert error_ratio(peer, ours) == np.inf  # no estimate after 3 s


def test_the_peers_error_is_taken_when_ours_has_ended():
    ours, peer = [_course([1.0, 2.0], [0.5, 0.01])], [_course([1.5, 9.0], [0.3, 0.001])]
    assert error_ratio(peer, ours) == pytest.approx(30.0)
    # Both reach 0.01 in the end; the peer after nine seconds.
    assert time_ratio(peer, ours) == 4.5


def test_an_error_that_comes_back_does_not_count_as_reached():
    ours, peer = [_course([1.0], [0.01])], [_course([1.0, 2.0, 4.0], [0.001, 0.5, 0.01])]
    assert time_ratio(peer, ours) == 4.0


def test_the_course_of_a_plot_keeps_its_end():
    course = _course(np.arange(1000), np.linspace(1.0, 0.0, 1000))
    rows = course.thinned(10)
    assert len(rows) == 10 and rows[-1] == [999.0, 0.0]
