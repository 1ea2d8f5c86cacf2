"""The parts of the sampling benchmark: what is counted as invalid, and that both draw from one set."""

import numpy as np
import pytest

pytest.importorskip("botorch")

from benchmarks.constraints import sampling


def test_invalid_designs_are_counted():
    x = np.array([[0.5, 0.5], [0.6, 0.5], [1.1, -0.1], [np.nan, 1.0], [0.9, 0.1]])
    assert sampling._invalid(x, 0.8) == 4


def test_both_draw_from_one_set():
    supports = np.array([[True, True, True, False], [False, True, True, True]])
    y = sampling._per_support(supports, 30)
    assert y.shape == (40, 4)
    assert sampling._invalid(y, sampling.GREATEST) == 0
    assert ((y > 0.0).sum(axis=1) == 3).all()


def test_rejection_finds_what_is_there():
    assert sampling._rejection(7, 0.05) > 0.0
