"""Errors and intervals of stiffness over many plates: slow."""

import numpy as np
import pytest

from benchmarks.inverse.plate import LOAD_ERROR, case, run

SEEDS = 10


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.01, 0.1])
def test_ratios_scale_and_intervals_over_ten_plates(noise):
    outcomes = [run(case(seed, 8, 32), noise, seed, "solver") for seed in range(SEEDS)]
    errors = np.array([outcome.errors for outcome in outcomes])
    assert np.sqrt(np.mean(errors**2)) < 0.05
    scales = np.array([outcome.scale_error for outcome in outcomes])
    assert np.sqrt(np.mean(scales**2)) < LOAD_ERROR + 0.005
    # 240 intervals, but those of one plate go together: as if there were 80, three standard deviations below 95 %.
    deviations = np.array([outcome.deviations for outcome in outcomes])
    assert np.mean(np.abs(deviations) < 1.96) > 0.877
    assert all(outcome.trusted for outcome in outcomes)
