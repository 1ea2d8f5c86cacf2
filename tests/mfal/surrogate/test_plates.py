"""Plates and drift against dense normal algebra, and whether what is stated as noise is what is left."""

import numpy as np
import pytest

from mfal.errors import DatasetError
from mfal.surrogate.plates import Readings, _least_squares, covariance, estimated

LEVEL = 0.001


def drawn(seed, *, plates=8, wells=4, standards=2, plate_sd=1.0, drift_sd=1.0, sd=0.3, repeated=0):
    """Readings of candidates 0, 1, ... on plates two days apart, the first `repeated` of them on every plate."""
    rng, rows, truth = np.random.default_rng(seed), [], {}
    walk = np.concatenate([np.cumsum(rng.normal(size=14) * drift_sd / 7**0.5) for _ in range(4)])
    for plate in range(plates):
        day = 2 * plate
        off = plate_sd * rng.normal() + (walk[day - 1] if day % 14 else 0.0)
        place = plate, day // 14, day % 14 / 7
        fresh = [100 * plate + 50 + well for well in range(wells)]
        for specimen in [*range(repeated), *fresh]:
            truth.setdefault(specimen, 10.0 * rng.normal())
            rows.append((specimen, truth[specimen] + off + sd * rng.normal(), sd**2, *place))
        if standards:
            rows.append((-1, off + sd * rng.normal() / standards**0.5, sd**2 / standards, *place))
    columns = map(np.array, zip(*rows, strict=True))
    specimen, value, variance, plate, calibration, weeks = columns
    return Readings(specimen, value, variance, plate, calibration, weeks.astype(float), 0.0), truth


@pytest.mark.parametrize("seed", range(5))
def test_estimates_are_the_limit_of_a_dense_normal_posterior(seed):
    """The joint posterior of specimens and readings under a prior so wide that it says nothing."""
    readings, _ = drawn(seed, repeated=2)
    standard = readings.specimen < 0
    specimens, row = np.unique(readings.specimen[~standard], return_inverse=True)
    design = np.zeros((len(readings.value), len(specimens)))
    design[np.flatnonzero(~standard), row] = 1.0
    noise, wide = covariance(readings, 0.7, 0.4), 1e4
    gain = wide * design.T @ np.linalg.inv(wide * design @ design.T + noise)
    mean, left = gain @ readings.value, wide * np.eye(len(specimens)) - wide * gain @ design
    _, value, variance = _least_squares(readings, design, 0.7, 0.4)
    np.testing.assert_allclose(value, mean, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(variance, np.diagonal(left), rtol=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_the_restricted_likelihood_is_the_density_of_contrasts(seed):
    """Differences between two pairs of sizes, against the density of any basis of what the specimens leave."""
    readings, _ = drawn(seed, plates=5, wells=2, repeated=1)
    standard = readings.specimen < 0
    specimens, row = np.unique(readings.specimen[~standard], return_inverse=True)
    design = np.zeros((len(readings.value), len(specimens)))
    design[np.flatnonzero(~standard), row] = 1.0
    basis = np.linalg.qr(design, mode="complete")[0][:, len(specimens) :]

    def of_contrasts(sizes):
        inner = basis.T @ covariance(readings, *sizes) @ basis
        seen = basis.T @ readings.value
        return -0.5 * (np.linalg.slogdet(inner)[1] + seen @ np.linalg.solve(inner, seen))

    ours = [_least_squares(readings, design, *sizes)[0] for sizes in ((0.5, 0.2), (1.0, 2.0))]
    assert ours[0] - ours[1] == pytest.approx(of_contrasts((0.5, 0.2)) - of_contrasts((1.0, 2.0)), abs=1e-8)


def test_values_of_an_unmoved_instrument_stay_as_they_are():
    readings, _ = drawn(0, plate_sd=0.0, drift_sd=0.0, sd=1e-3)
    found, first = estimated(readings), dict(zip(readings.specimen.tolist(), readings.value, strict=True))
    np.testing.assert_allclose(found.value, [first[s] for s in found.specimen.tolist()], atol=3e-3)


def test_without_standards_answers_are_what_was_read():
    readings, _ = drawn(1, standards=0)
    found = estimated(readings)
    order = np.argsort(readings.specimen)
    np.testing.assert_allclose(found.value, readings.value[order], atol=1e-12)
    np.testing.assert_allclose(found.variance, readings.variance[order], atol=1e-12)


def test_standards_take_most_of_the_error_away_and_the_rest_is_stated():
    """200 instruments; the stated variance is the mean square error within its sampling error at 0.1 % a side."""
    raw, corrected, scores = [], [], []
    for seed in range(200):
        readings, truth = drawn(seed, standards=3)
        found = estimated(readings)
        error = found.value - np.array([truth[s] for s in found.specimen.tolist()])
        as_read = readings.value - np.array([truth.get(s, np.nan) for s in readings.specimen.tolist()])
        raw.append(np.nanmean(as_read[readings.specimen >= 0] ** 2))
        corrected.append(np.mean(error**2))
        scores.append(np.mean(error**2 / found.variance))
    assert np.mean(corrected) < 0.25 * np.mean(raw)
    assert np.mean(scores) == pytest.approx(1.0, abs=3.3 * np.std(scores) / len(scores) ** 0.5 + 0.05)


def test_readings_that_are_no_numbers_are_refused():
    readings, _ = drawn(0)
    with pytest.raises(DatasetError, match="finite"):
        Readings(**{**vars(readings), "value": np.full_like(readings.value, np.nan)})
