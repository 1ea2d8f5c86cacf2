"""Error against time of two arms: how much sooner the same error, how much less error at the same time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Noise limits both arms alike, so that their last errors differ by chance alone.
SAME = 1.05


@dataclass(frozen=True)
class Course:
    """What one fit had reached at which time.

    Attributes:
        seconds: increasing, shape (n,).
        errors: absolute relative errors of each parameter, shape (n, parameters).
    """

    seconds: np.ndarray
    errors: np.ndarray

    def worst_at(self, seconds: np.ndarray | float) -> np.ndarray:
        """Return the error of the worst parameter at some times; infinite before the first estimate."""
        worst = np.concatenate([[np.inf], self.errors.max(axis=1)])
        return worst[np.searchsorted(self.seconds, seconds, side="right")]

    def thinned(self, most: int = 40) -> list[list[float]]:
        """Return some rows of time and errors for a plot, the last one included."""
        chosen = np.unique(np.linspace(0, len(self.seconds) - 1, most).round().astype(int))
        return [[round(float(self.seconds[i]), 1), *(float(f"{e:.4g}") for e in self.errors[i])] for i in chosen]


def rms(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Return the root mean square over rows."""
    return np.sqrt(np.mean(np.square(np.asarray(rows)), axis=0))


def arm_figures(problem: str, errors: Sequence[str], arm: str, found: Sequence[Course]) -> dict[str, Any]:
    """Return the last errors over seeds, as fractions of the truth, the mean of the seconds, and the courses.

    Args:
        problem: name that the figures begin with.
        errors: names of the parameters.
        arm: name that the figures end with.
        found: a course a seed.
    """
    ends = rms([course.errors[-1] for course in found]).tolist()
    return {f"{problem}_{error}_error_{arm}": end for error, end in zip(errors, ends, strict=True)} | {
        f"{problem}_seconds_{arm}": float(np.mean([course.seconds[-1] for course in found])),
        f"{problem}_course_{arm}": [course.thinned() for course in found],
    }


def time_ratio(peer: Sequence[Course], ours: Sequence[Course]) -> float:
    """Return by which factor the peer takes longer to the error that both reach in the end."""
    level = SAME * max(_at_end(peer), _at_end(ours))
    return _first_below(peer, level) / _first_below(ours, level)


def error_ratio(peer: Sequence[Course], ours: Sequence[Course]) -> float:
    """Return by which factor the peer's error is larger when ours has ended; infinite where it has none yet."""
    end = max(course.seconds[-1] for course in ours)
    return float(_error_at(peer, end) / _at_end(ours))


def _at_end(courses: Sequence[Course]) -> float:
    return float(rms([course.errors[-1].max() for course in courses]))


def _error_at(courses: Sequence[Course], seconds: np.ndarray | float) -> np.ndarray:
    return rms([course.worst_at(seconds) for course in courses])


def _first_below(courses: Sequence[Course], level: float) -> float:
    """Return the time from which on the error of the arm, over its seeds, stays below a level."""
    times = np.unique(np.concatenate([course.seconds for course in courses]))
    above = np.flatnonzero(~(_error_at(courses, times) <= level))
    return float(times[0] if above.size == 0 else times[above[-1] + 1])
