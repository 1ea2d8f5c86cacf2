"""The laboratory benchmark: arms differ in what they use and in nothing else."""

import numpy as np
import pytest

from benchmarks.laboratory.campaigns import FULL, NONE, Coping, _told, laboratory
from benchmarks.laboratory.worlds import MODES, failures, grid_world
from mfal.oracle import Observation


def test_an_arm_is_told_what_it_uses():
    details = {"readings": {"values": [1.0]}, "attempts": 2, "steps": []}
    observation = Observation("a", "hardness", 1.0, 0.1, 300.0, None, details)
    assert set(_told(observation, FULL).details) == {"readings", "attempts"}
    assert set(_told(observation, Coping(True, False, False)).details) == {"readings"}
    assert _told(observation, NONE).details == {}
    assert _told(observation, NONE).value == 1.0


@pytest.mark.parametrize("mode", MODES)
def test_a_mode_is_one_kind_of_failure(mode):
    found = failures(mode, 30.0)
    assert [name for name, value in vars(found).items() if value is not None] == [mode]


def test_all_is_every_kind_and_none_is_none():
    assert all(value is not None for value in vars(failures("all", 30.0)).values())
    assert not any(value is not None for value in vars(failures("none", 30.0)).values())


def test_worlds_and_laboratories_are_those_of_their_seed():
    one, again, other = grid_world(0), grid_world(0), grid_world(1)
    np.testing.assert_array_equal(one.value, again.value)
    assert not np.allclose(one.value, other.value)
    assert laboratory(one, "all", 3).truth == laboratory(again, "all", 3).truth
