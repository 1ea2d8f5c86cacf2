"""What an inference returns: quantities with units, what the data do not tell, and the checks that were made."""

from dataclasses import dataclass

import numpy as np


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

    @property
    def trusted(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)
