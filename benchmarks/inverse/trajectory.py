"""What a fit had found at which time, for error against time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass
class Trajectory:
    """Estimates of the unknowns in the course of one fit, imports and compilation included.

    Attributes:
        seconds: processor time of this process since `began`: unlike wall time it does not tell of other work on the
            machine. Everything here runs on one thread; on an accelerator it is wall time.
        estimates: the unknowns at those times.
    """

    clock: Callable[[], float] = time.process_time
    seconds: list[float] = field(default_factory=list)
    estimates: list[list[float]] = field(default_factory=list)
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def elapsed(self) -> float:
        """Return the seconds since the fit began."""
        return self.clock() - self.began

    def add(self, estimates: Sequence[float]) -> None:
        """Note what has been found by now."""
        self.seconds.append(round(self.elapsed(), 3))
        self.estimates.append([float(value) for value in estimates])
