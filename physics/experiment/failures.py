"""What goes wrong in a laboratory: one record a kind, each switched on by being there.

Every draw belongs to its sample, run or day (`physics.experiment.draws`), so that it is the same whenever it is asked
for. Magnitudes of values are in the property's unit.
"""

from dataclasses import dataclass

from physics.experiment.clock import DAY, WEEK
from physics.experiment.draws import generator
from physics.experiment.line import Absence


@dataclass(frozen=True)
class Dropped:
    """A sample is lost on its way; the step is flagged, and the sample made again if attempts are left."""

    probability: float

    def happens(self, seed: int, sample: str, attempt: int, station: str) -> bool:
        """Return whether it happens to a sample at a station."""
        return bool(generator(seed, "dropped", sample, attempt, station).random() < self.probability)


@dataclass(frozen=True)
class Refused:
    """Some materials do not form: each attempt at them fails with a probability of their own, and is seen to.

    Attributes:
        share: of the materials that are hard to make.
        probability: that one attempt at such a material fails.
    """

    share: float
    probability: float

    def happens(self, seed: int, rank: float, sample: str, attempt: int) -> bool:
        """Return whether an attempt fails; `rank` is the material's place from 0 to 1, the hard ones first."""
        hard = rank < self.share
        return hard and bool(generator(seed, "refused", sample, attempt).random() < self.probability)


@dataclass(frozen=True)
class Contaminated:
    """Something else got in: the value is shifted, and nobody notices."""

    probability: float
    shift_sd: float

    def shift(self, seed: int, sample: str, attempt: int) -> float:
        """Return by how much the value of a sample is shifted."""
        rng = generator(seed, "contaminated", sample, attempt)
        return float(rng.normal() * self.shift_sd) if rng.random() < self.probability else 0.0


@dataclass(frozen=True)
class Misweighed:
    """A mass is off. The log shows it; beyond the tolerance the sample is not taken further.

    Attributes:
        probability: that the first precursor is.
        share_sd: standard deviation of the error, as a share of the mass.
        tolerance: share from which the weighing is flagged.
        shift_per_share: of the value.
    """

    probability: float
    share_sd: float
    tolerance: float
    shift_per_share: float

    def error(self, seed: int, sample: str, attempt: int) -> float:
        """Return the error of the weighing, as a share of the mass."""
        rng = generator(seed, "misweighed", sample, attempt)
        return float(rng.normal() * self.share_sd) if rng.random() < self.probability else 0.0


@dataclass(frozen=True)
class FurnaceDeviation:
    """A run of the furnace is too hot or too cold; its thermocouple shows it.

    Attributes:
        probability: that a run is off.
        sd_kelvin: by how much.
    """

    probability: float
    sd_kelvin: float

    def deviation_kelvin(self, seed: int, run: int) -> float:
        """Return by how much a run is off."""
        rng = generator(seed, "furnace", run)
        return float(rng.normal() * self.sd_kelvin) if rng.random() < self.probability else 0.0


@dataclass(frozen=True)
class Drift:
    """The instrument walks off at random and is set right at each recalibration.

    Attributes:
        sd_per_root_week: standard deviation after a week.
        recalibrated_every_weeks: first at week 0.
    """

    sd_per_root_week: float
    recalibrated_every_weeks: int

    def period(self, minute: int) -> int:
        """Return which calibration holds at a minute, from 0."""
        return minute // (self.recalibrated_every_weeks * WEEK)

    def weeks_since(self, minute: int) -> float:
        """Return how long ago the instrument was set right, in whole days."""
        return minute % (self.recalibrated_every_weeks * WEEK) // DAY / 7

    def offset(self, seed: int, minute: int) -> float:
        """Return by how much the instrument is off; it moves once a day."""
        days = minute % (self.recalibrated_every_weeks * WEEK) // DAY
        walk = generator(seed, "drift", self.period(minute)).normal(size=7 * self.recalibrated_every_weeks)
        return float(walk[:days].sum() * self.sd_per_root_week / 7**0.5)


@dataclass(frozen=True)
class BatchOffset:
    """All wells of one plate read too high or too low."""

    sd: float

    def offset(self, seed: int, plate: int) -> float:
        """Return by how much a plate is off."""
        return float(generator(seed, "plate", plate).normal() * self.sd)


@dataclass(frozen=True)
class Misassigned:
    """Overlapping peaks: the best match is another material, and the value is that one's. No warning goes with it."""

    probability: float

    def happens(self, seed: int, sample: str, attempt: int) -> bool:
        """Return whether it happens to a sample."""
        return bool(generator(seed, "misassigned", sample, attempt).random() < self.probability)


@dataclass(frozen=True)
class OperatorBottleneck:
    """In some weeks fewer people are there.

    Attributes:
        probability: of a week.
        operators: left in it.
        weeks: that are drawn; after them everybody is there.
    """

    probability: float
    operators: int
    weeks: int = 52

    def absences(self, seed: int) -> tuple[Absence, ...]:
        """Return the weeks in which it happens."""
        drawn = generator(seed, "operators").random(self.weeks) < self.probability
        return tuple(Absence(w * WEEK, (w + 1) * WEEK, self.operators) for w in range(self.weeks) if drawn[w])


@dataclass(frozen=True)
class Failures:
    """What goes wrong; None is what does not."""

    dropped: Dropped | None = None
    refused: Refused | None = None
    contaminated: Contaminated | None = None
    misweighed: Misweighed | None = None
    furnace: FurnaceDeviation | None = None
    drift: Drift | None = None
    batch: BatchOffset | None = None
    misassigned: Misassigned | None = None
    operators: OperatorBottleneck | None = None
