"""Differences between scenarios that were simulated in the same worlds."""

import numpy as np


def paired(changed: np.ndarray, base: np.ndarray) -> tuple[float, float]:
    """Return the mean difference and its standard error; both arrays are of shape (worlds,)."""
    difference = np.asarray(changed, dtype=float) - np.asarray(base, dtype=float)
    return float(difference.mean()), standard_error(difference)


def standard_error(values: np.ndarray) -> float:
    """Return the standard error of a mean; NaN for a single value."""
    values = np.asarray(values, dtype=float)
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
