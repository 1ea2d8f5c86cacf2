"""What an inference returns: quantities with units, what the data do not tell, and the checks that were made."""

from dataclasses import dataclass

import numpy as np

# Eigenvalues below this share of the largest are zero but for rounding.
OPEN = 1e-12


@dataclass(frozen=True)
class Quantity:
    """One number with its standard deviation; `symbol` is for people, such as "M kappa"."""

    symbol: str
    value: float
    sd: float
    unit: str
    low: float
    high: float


@dataclass(frozen=True)
class Check:
    """One question put to a fit, with the number that answers it."""

    name: str
    passed: bool
    statistic: float
    threshold: float
    reason: str


@dataclass(frozen=True)
class Spectrum:
    """The Fisher information about the logarithms of physical parameters.

    Attributes:
        parameters: such as "M", "kappa", "W".
        eigenvalues: largest first; 0 where the data leave a direction open.
        directions: unit eigenvectors in that order, one a row.
    """

    parameters: tuple[str, ...]
    eigenvalues: np.ndarray
    directions: np.ndarray

    def words(self, number: int) -> str:
        """Return one direction in words, such as "M- kappa+ W+": what rises and what falls along it."""
        direction = self.directions[number]
        strong = np.abs(direction) > 0.25 * np.abs(direction).max()
        signs = np.where(direction > 0, "+", "-")
        return " ".join(name + sign for name, sign, shown in zip(self.parameters, signs, strong, strict=True) if shown)

    @property
    def deviations(self) -> np.ndarray:
        """Standard deviations of the combinations, in the logarithm; infinite where the data leave one open."""
        known = self.eigenvalues > OPEN * max(float(self.eigenvalues[0]), 1e-300)
        return np.where(known, 1 / np.sqrt(np.where(known, self.eigenvalues, 1.0)), np.inf)


@dataclass(frozen=True)
class Estimate:
    """The outcome of one fit.

    Attributes:
        backend: which way to the maximum was taken: "solver", "field" or "pinn".
        identified: combinations that the data alone identify, with 95 % intervals.
        covariance: of the logarithms of `identified`, in that order.
        separate: mobility, gradient energy, well height and interface energy; empty unless some scale is known.
        ridge: what the data leave open, and which measurement would close it; empty where nothing is left open.
        fitted: what the camera would see without noise, shape (times, *pixels).
        initial: order parameter or concentration at the first time, on the pixels.
        noise_sd: noise of a pixel, in units of the intensities.
        checks: all that were made, failed ones included.
        trace: value of the objective at each step of the fit.
        seconds: wall time of the fit, compilation included.
        spectrum: what the data tell of the physical parameters at the fit; None where that was not asked.
        intervals: what they are, in a sentence, where they are not simply those of the likelihood.
    """

    backend: str
    identified: tuple[Quantity, ...]
    covariance: np.ndarray
    separate: tuple[Quantity, ...]
    ridge: str
    fitted: np.ndarray
    initial: np.ndarray
    noise_sd: float
    checks: tuple[Check, ...]
    trace: np.ndarray
    seconds: float
    spectrum: Spectrum | None = None
    intervals: str = ""

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the checks that did not pass."""
        return tuple(check.name for check in self.checks if not check.passed)

    @property
    def trusted(self) -> bool:
        """Whether every check passed."""
        return not self.failed
