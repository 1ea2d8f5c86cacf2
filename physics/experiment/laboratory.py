"""A simulated laboratory: samples go in at some minute, observations with flags and logs come out at another.

What comes out is a function of seed and submissions. The hidden truth is handed in and stays here: what is returned is
only what an instrument reads.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from physics.experiment.draws import generator
from physics.experiment.failures import Failures
from physics.experiment.line import Arrival, Finished, Line, Station, Step, operate
from physics.experiment.recipe import Platform, Product, Recipe, made

WEIGHING, FURNACE, INSTRUMENT = "weighing", "furnace", "instrument"

# A small shop: one sample is weighed at a time, eight fit the furnace overnight, twelve the instrument's plate.
USUAL_LINE = Line(
    stations=(
        Station(WEIGHING, 2, 1, 30, 0.2, 0, 30, 40_00),
        Station(FURNACE, 1, 8, 14 * 60, 0.1, 6 * 60, 20, 110_00),
        Station(INSTRUMENT, 1, 12, 180, 0.2, 120, 60, 150_00),
    ),
    operators=2,
    attempts=2,
)


@dataclass(frozen=True)
class Instrument:
    """What measures.

    Attributes:
        sd: of one reading.
        readings: of each sample on its plate, averaged.
        standards: readings of a reference sample on every plate.
        certified: value of that.
        certified_sd: standard deviation of the certificate.
    """

    sd: float
    readings: int = 1
    standards: int = 2
    certified: float = 0.0
    certified_sd: float = 0.0

    def __post_init__(self) -> None:
        if self.sd < 0 or self.certified_sd < 0 or self.readings < 1 or self.standards < 0:
            raise ValueError(f"{self}: deviations must not be negative, and a sample is read once at least")


@dataclass(frozen=True)
class Truth:
    """What nobody outside may know.

    Attributes:
        value: property of every material as it would be without fault.
        mistaken_for: for each material the one that it is taken for where peaks overlap.
        rank: how easily each forms, from 0 (hardest) to 1.
        unmakable: what does not form in any attempt.
        per_unreacted: shift of the property per unreacted share.
        per_impurity: shift of the property per share of mass lost or picked up.
    """

    value: Mapping[str, float]
    mistaken_for: Mapping[str, str] = field(default_factory=dict)
    rank: Mapping[str, float] = field(default_factory=dict)
    unmakable: frozenset[str] = frozenset()
    per_unreacted: float = 0.0
    per_impurity: float = 0.0


@dataclass(frozen=True)
class Answer:
    """What the laboratory returns about a sample.

    Attributes:
        sample: its name.
        minute: in which it left the line.
        value: mean of the readings as they stand; None for a failure.
        cost_cents: of all steps.
        failure: why there is no value.
        details: flags and logs of every step, readings and standards with plate, time and calibration; JSON values.
    """

    sample: str
    minute: int
    value: float | None
    cost_cents: int
    failure: str | None
    details: Mapping[str, Any]


@dataclass(frozen=True)
class Laboratory:
    """A line with what goes wrong on it.

    Attributes:
        seed: of everything that happens.
        truth: hidden.
        recipe: of each material.
        instrument: at the end of the line.
        line: stations `WEIGHING`, `FURNACE` and `INSTRUMENT` in this order.
        platform: furnace.
        failures: what goes wrong.
    """

    seed: int
    truth: Truth
    recipe: Callable[[str], Recipe]
    instrument: Instrument
    line: Line = USUAL_LINE
    platform: Platform = field(default_factory=Platform)
    failures: Failures = field(default_factory=Failures)

    def answers(self, arrivals: Sequence[Arrival]) -> list[Answer]:
        """Return the answers in the order in which they come; a sample has the name of its material."""
        absences = self.failures.operators.absences(self.seed) if self.failures.operators else ()
        line = replace(self.line, absences=self.line.absences + absences)
        return [self._answer(done) for done in operate(line, arrivals, self._passes, self.seed)]

    def can_make(self, sample: str) -> bool:
        """Return whether a material forms in one of the attempts that it is given."""
        refused, rank = self.failures.refused, self.truth.rank.get(sample, 1.0)
        attempts = range(1, self.line.attempts + 1)
        if sample in self.truth.unmakable:
            return False
        return refused is None or not all(refused.happens(self.seed, rank, sample, one) for one in attempts)

    def _passes(self, sample: str, attempt: int, station: str, run: int) -> bool:
        return self._fault(sample, attempt, station) is None

    def _fault(self, sample: str, attempt: int, station: str) -> str | None:
        """Return what a station notices."""
        found, rank = self.failures, self.truth.rank.get(sample, 1.0)
        if found.dropped and found.dropped.happens(self.seed, sample, attempt, station):
            return "dropped"
        if (
            station == WEIGHING
            and found.misweighed
            and abs(self._weighing_error(sample, attempt)) > (found.misweighed.tolerance)
        ):
            return f"mass off by {100 * self._weighing_error(sample, attempt):+.2f} %"
        refused = found.refused and found.refused.happens(self.seed, rank, sample, attempt)
        if station == FURNACE and (refused or sample in self.truth.unmakable):
            return "no single phase"
        return None

    def _weighing_error(self, sample: str, attempt: int) -> float:
        return self.failures.misweighed.error(self.seed, sample, attempt) if self.failures.misweighed else 0.0

    def _answer(self, done: Finished) -> Answer:
        steps = [self._step_log(step) for step in done.steps]
        details: dict[str, Any] = {"attempts": done.attempts, "steps": steps, "platform": self.platform.name}
        if not done.passed:
            failure = f"{steps[-1]['station']}: {steps[-1]['fault']}, attempt {done.attempts}"
            return Answer(done.sample, done.minute, None, done.cost_cents, failure, details)
        readings = self._readings(done.steps[-1], self._product_value(done))
        value = sum(readings["values"]) / len(readings["values"])
        return Answer(done.sample, done.minute, value, done.cost_cents, None, details | {"readings": readings})

    def _step_log(self, step: Step) -> dict[str, Any]:
        fault = None if step.passed else self._fault(step.sample, step.attempt, step.station)
        log = {"station": step.station, "attempt": step.attempt, "run": step.run, "machine": step.machine}
        log |= {"start_minute": step.start, "end_minute": step.end, "cost_cents": step.cost_cents}
        log |= {"passed": step.passed, "fault": fault}
        recipe = self.recipe(step.sample)
        if step.station == WEIGHING:
            factor = 1.0 + self._weighing_error(step.sample, step.attempt)
            weighed = [p.mass_mg * (factor if i == 0 else 1.0) for i, p in enumerate(recipe.precursors)]
            log["weighed_mg"] = [round(mass, 2) for mass in weighed]
        if step.station == FURNACE:
            log["thermocouple_kelvin"] = round(recipe.hold_kelvin + self._deviation_kelvin(step.run), 1)
        return log

    def _deviation_kelvin(self, run: int) -> float:
        return self.failures.furnace.deviation_kelvin(self.seed, run) if self.failures.furnace else 0.0

    def _product(self, sample: str, run: int) -> Product:
        return made(self.recipe(sample), self.platform, self._deviation_kelvin(run))

    def _product_value(self, done: Finished) -> float:
        """Return the property of what is on the plate."""
        attempt, sample, found, truth = done.attempts, done.sample, self.failures, self.truth
        if found.misassigned and found.misassigned.happens(self.seed, sample, attempt):
            return truth.value[truth.mistaken_for.get(sample, sample)]
        run = next(step.run for step in done.steps if step.attempt == attempt and step.station == FURNACE)
        value = truth.value[sample] + self._product(sample, run).shift(truth.per_unreacted, truth.per_impurity)
        if found.misweighed:
            value += found.misweighed.shift_per_share * self._weighing_error(sample, attempt)
        return value + (found.contaminated.shift(self.seed, sample, attempt) if found.contaminated else 0.0)

    def _readings(self, step: Step, value: float) -> dict[str, Any]:
        found, instrument = self.failures, self.instrument
        off = found.batch.offset(self.seed, step.run) if found.batch else 0.0
        off += found.drift.offset(self.seed, step.end) if found.drift else 0.0
        noise = generator(self.seed, "reading", step.sample, step.attempt).normal(size=instrument.readings)
        control = generator(self.seed, "standards", step.run)
        certified = instrument.certified + instrument.certified_sd * generator(self.seed, "certificate").normal()
        standards = certified + off + instrument.sd * control.normal(size=instrument.standards)
        return {
            "values": (value + off + instrument.sd * noise).tolist(),
            "sd": instrument.sd,
            "plate": step.run,
            "minute": step.end,
            "calibration": found.drift.period(step.end) if found.drift else 0,
            "weeks_since_calibration": found.drift.weeks_since(step.end) if found.drift else 0.0,
            "standards": standards.tolist(),
            "certified": instrument.certified,
            "certified_sd": instrument.certified_sd,
        }
