"""Means over seeds with their 95 % intervals."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import t


def interval(name: str, values: Sequence[float] | np.ndarray) -> dict[str, float]:
    """Return the mean of some repeats and the 95 % interval of Student's t about it."""
    sample = np.asarray(values, float)
    mean = float(sample.mean())
    half = float(t.ppf(0.975, len(sample) - 1) * sample.std(ddof=1) / np.sqrt(len(sample))) if len(sample) > 1 else 0.0
    found = {name: mean, f"{name}_low": mean - half, f"{name}_high": mean + half}
    return {key: round(value, 4) + 0.0 for key, value in found.items()}  # + 0.0: no minus zero
