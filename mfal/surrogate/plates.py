"""What an instrument's readings say of each specimen, once plates and drift are accounted for by its standards.

y_r = m_s(r) + b_p(r) + d_c(r)(t_r) + e_r

with b_p an offset of a plate, d_c the random walk of the instrument since calibration c, so that Cov(d(t), d(t')) is
proportional to min(t, t'), and e_r the error of reading. m_s is the value of a specimen: of a standard it is certified,
of a candidate nothing is assumed, which makes the estimate generalised least squares, and what it leaves uncertain the
noise of an answer (Searle, Casella and McCulloch 1992, 10.1002/9780470316856, sec. 7.4). The sizes of b and d are
averaged over a grid by their restricted likelihood (Harville 1974, 10.1093/biomet/61.2.383): with few plates no single
estimate of them could be trusted.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from mfal.errors import DatasetError

# Standard deviations of b, and of d after a week, that are averaged over: times the scatter that the standards show.
GRID = (0.0, 0.25, 0.5, 1.0, 2.0)


@dataclass(frozen=True)
class Readings:
    """Readings of one instrument; arrays with one entry a reading.

    Attributes:
        specimen: index of the candidate; -1 for a standard.
        value: as read; of a standard, minus the certified value.
        variance: of the error of reading.
        plate: number of the plate.
        calibration: number of the calibration that it was made under.
        weeks: since that calibration.
        certified_variance: of the certificate, which all standards share.
    """

    specimen: Int[np.ndarray, " r"]
    value: Float[np.ndarray, " r"]
    variance: Float[np.ndarray, " r"]
    plate: Int[np.ndarray, " r"]
    calibration: Int[np.ndarray, " r"]
    weeks: Float[np.ndarray, " r"]
    certified_variance: float

    def __post_init__(self) -> None:
        numbers = np.concatenate([self.value, self.variance, self.weeks, [self.certified_variance]])
        if not np.isfinite(numbers).all() or (self.variance <= 0.0).any() or (self.weeks < 0.0).any():
            raise DatasetError("readings must be finite, of positive variance, and made after their calibration")


@dataclass(frozen=True)
class Estimates:
    """Values of the specimens in ascending order of their index, and the variance of what the readings leave open."""

    specimen: Int[np.ndarray, " s"]
    value: Float[np.ndarray, " s"]
    variance: Float[np.ndarray, " s"]


def estimated(readings: Readings) -> Estimates:
    """Return what the readings say of each candidate; without standards, nothing is known of plates and drift."""
    standard = readings.specimen < 0
    specimens, row = np.unique(readings.specimen[~standard], return_inverse=True)
    design = np.zeros((len(readings.value), len(specimens)))
    design[np.flatnonzero(~standard), row] = 1.0
    scatter = float(np.sqrt(np.mean(readings.value[standard] ** 2))) if standard.any() else 0.0
    found = [_least_squares(readings, design, b * scatter, d * scatter) for b, d in _sizes(scatter)]
    evidence = np.array([one[0] for one in found])
    weight = np.exp(evidence - evidence.max())
    weight /= weight.sum()
    values, variances = (np.stack([one[part] for one in found]) for part in (1, 2))
    mean = weight @ values
    return Estimates(specimens, mean, weight @ (variances + (values - mean) ** 2))


def _sizes(scatter: float) -> list[tuple[float, float]]:
    return [(b, d) for b in GRID for d in GRID] if scatter > 0.0 else [(0.0, 0.0)]


def covariance(readings: Readings, plate_sd: float, drift_sd: float) -> Float[np.ndarray, "r r"]:
    """Return the covariance of the readings about the values of the specimens."""
    standard = (readings.specimen < 0) * 1.0
    together = readings.plate[:, None] == readings.plate
    period = readings.calibration[:, None] == readings.calibration
    walked = np.minimum(readings.weeks[:, None], readings.weeks) * period
    shared = plate_sd**2 * together + drift_sd**2 * walked
    return np.diag(readings.variance) + shared + readings.certified_variance * np.outer(standard, standard)


def _least_squares(
    readings: Readings, design: Float[np.ndarray, "r s"], plate_sd: float, drift_sd: float
) -> tuple[float, Float[np.ndarray, " s"], Float[np.ndarray, " s"]]:
    """Return restricted log likelihood, estimates and their variances."""
    factor = np.linalg.cholesky(covariance(readings, plate_sd, drift_sd))
    white, seen = np.linalg.solve(factor, design), np.linalg.solve(factor, readings.value)
    normal = white.T @ white
    inner = np.linalg.cholesky(normal)
    variance = np.linalg.inv(normal)
    value = variance @ (white.T @ seen)
    half_logs = np.log(np.diagonal(factor)).sum() + np.log(np.diagonal(inner)).sum()
    return float(-half_logs - 0.5 * np.sum((seen - white @ value) ** 2)), value, np.diagonal(variance)
