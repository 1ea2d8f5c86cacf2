"""A production line as an event simulation: stations one after the other, each with machines, wells and a queue.

A pure function of line, seed and arrivals. What has ended by some minute does not depend on what arrives in it or
later, so a campaign may ask at any time, and after a crash simply simulates again.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from physics.experiment.clock import WEEKDAYS, Calendar
from physics.experiment.draws import generator


@dataclass(frozen=True)
class Station:
    """One kind of machine that every sample passes.

    Attributes:
        name: unique in the line.
        machines: that run side by side.
        wells: samples that one run holds.
        minutes: median duration of a run; it goes on at night.
        scatter: standard deviation of the logarithm of the duration.
        patience_minutes: that the first sample of a run waits for others.
        attended_minutes: of an operator, from the start of a run on and in working hours; 0: the run starts by itself.
        cost_cents: of one sample in one run.
    """

    name: str
    machines: int
    wells: int
    minutes: int
    scatter: float
    patience_minutes: int
    attended_minutes: int
    cost_cents: int

    def __post_init__(self) -> None:
        if min(self.machines, self.wells, self.minutes) < 1:
            raise ValueError(f"station {self.name}: {self.machines=}, {self.wells=}, {self.minutes=} must be positive")
        if min(self.patience_minutes, self.attended_minutes, self.cost_cents) < 0 or not 0 <= self.scatter < math.inf:
            raise ValueError(f"station {self.name}: patience, attendance, cost and scatter must not be negative")


@dataclass(frozen=True)
class Absence:
    """A time in which fewer operators are there: `operators` from minute `begin` to before `end`."""

    begin: int
    end: int
    operators: int


@dataclass(frozen=True)
class Line:
    """Stations in the order in which samples pass them.

    Attributes:
        stations: at least one.
        operators: who attend to the starts of runs, shared by all stations.
        calendar: when operators are there.
        absences: times with fewer of them; the first that covers a minute counts.
        attempts: that a sample is given; one that fails at a station begins again at the first.
    """

    stations: tuple[Station, ...]
    operators: int
    calendar: Calendar = WEEKDAYS
    absences: tuple[Absence, ...] = ()
    attempts: int = 1

    def __post_init__(self) -> None:
        if not self.stations or len({station.name for station in self.stations}) < len(self.stations):
            raise ValueError("a line needs stations, each with a name of its own")
        if self.operators < 1 or self.attempts < 1:
            raise ValueError(f"{self.operators=}, {self.attempts=}: use at least 1")
        if any(absence.operators < 0 or absence.end <= absence.begin for absence in self.absences):
            raise ValueError(f"{self.absences=}: each ends after it begins, and leaves 0 or more operators")

    def operators_at(self, minute: int) -> int:
        """Return how many operators are there, were it in working hours."""
        return next((a.operators for a in self.absences if a.begin <= minute < a.end), self.operators)


@dataclass(frozen=True)
class Arrival:
    """A sample handed in at a minute; names are unique."""

    sample: str
    minute: int


@dataclass(frozen=True)
class Step:
    """What one station did to one sample.

    Attributes:
        sample: its name.
        attempt: from 1.
        station: name.
        run: of this station, from 0.
        machine: that ran it.
        queued: minute in which it came to the station.
        start: of the run.
        end: of the run.
        cost_cents: paid at the start.
        passed: whether the sample went on.
    """

    sample: str
    attempt: int
    station: str
    run: int
    machine: int
    queued: int
    start: int
    end: int
    cost_cents: int
    passed: bool


@dataclass(frozen=True)
class Finished:
    """A sample that has left the line: after its last station, or given up.

    Attributes:
        sample: its name.
        minute: in which it left.
        passed: whether it came through.
        attempts: that it took.
        steps: all of them in order.
    """

    sample: str
    minute: int
    passed: bool
    attempts: int
    steps: tuple[Step, ...]

    @property
    def cost_cents(self) -> int:
        """Sum over the steps."""
        return sum(step.cost_cents for step in self.steps)


Judge = Callable[[str, int, str, int], bool]


def operate(line: Line, arrivals: Sequence[Arrival], judge: Judge, seed: int) -> list[Finished]:
    """Return the samples in the order in which they leave the line.

    Args:
        line: stations and people.
        arrivals: in the order in which they were handed in.
        judge: says whether a (sample, attempt) passes a (station, run); pure.
        seed: of the durations.

    Raises:
        ValueError: a sample arrives twice, or before the first minute.
    """
    if len({arrival.sample for arrival in arrivals}) < len(arrivals) or any(a.minute < 0 for a in arrivals):
        raise ValueError("every sample arrives once, and not before minute 0")
    return _Floor(line, judge, seed).run(arrivals)


class _Kind(IntEnum):
    """Order of events within one minute."""

    ENDS, ARRIVES, WAKES = range(3)


@dataclass
class _Waiting:
    sample: str
    attempt: int
    since: int


@dataclass
class _Floor:
    """The state of a simulation; lives for one call."""

    line: Line
    judge: Judge
    seed: int
    events: list[tuple] = field(default_factory=list)
    steps: dict[str, list[Step]] = field(default_factory=dict)
    finished: list[Finished] = field(default_factory=list)
    operators_until: list[int] = field(default_factory=list)
    wakes: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.queues: list[deque[_Waiting]] = [deque() for _ in self.line.stations]
        self.free = [list(range(station.machines)) for station in self.line.stations]
        self.runs = [0] * len(self.line.stations)
        self.running: dict[tuple[int, int], tuple[int, list[Step]]] = {}

    def run(self, arrivals: Sequence[Arrival]) -> list[Finished]:
        self.events = [(a.minute, _Kind.ARRIVES, order, 0, a.sample) for order, a in enumerate(arrivals)]
        heapq.heapify(self.events)
        while self.events:
            now = self.events[0][0]
            while self.events and self.events[0][0] == now:
                self._happen(now, heapq.heappop(self.events))
            for place in range(len(self.line.stations)):
                while self._start(now, place):
                    pass
        return self.finished

    def _happen(self, now: int, event: tuple) -> None:
        _, kind, first, second, sample = event
        if kind == _Kind.ARRIVES:
            self.steps[sample] = []
            self.queues[0].append(_Waiting(sample, 1, now))
        elif kind == _Kind.ENDS:
            machine, steps = self.running.pop((first, second))
            heapq.heappush(self.free[first], machine)
            for step in steps:
                self._leave(now, first, step)
        else:
            self.wakes.discard(now)

    def _leave(self, now: int, place: int, step: Step) -> None:
        self.steps[step.sample].append(step)
        last = place + 1 == len(self.line.stations)
        if step.passed and not last:
            self.queues[place + 1].append(_Waiting(step.sample, step.attempt, now))
        elif not step.passed and step.attempt < self.line.attempts:
            self.queues[0].append(_Waiting(step.sample, step.attempt + 1, now))
        else:
            steps = tuple(self.steps.pop(step.sample))
            self.finished.append(Finished(step.sample, now, step.passed, step.attempt, steps))

    def _start(self, now: int, place: int) -> bool:
        """Start one run at a station if one can be; otherwise see to it that it is tried again in time."""
        station, queue = self.line.stations[place], self.queues[place]
        if not queue or not self.free[place]:
            return False
        patient_until = queue[0].since + station.patience_minutes
        if len(queue) < station.wells and now < patient_until:
            return self._wake(patient_until)
        if station.attended_minutes:
            if not self.line.calendar.is_open(now):
                return self._wake(self.line.calendar.next_open(now))
            self.operators_until = [until for until in self.operators_until if until > now]
            if len(self.operators_until) >= self.line.operators_at(now):
                ends = [absence.end for absence in self.line.absences if absence.begin <= now < absence.end]
                return self._wake(min([*self.operators_until, *ends]))
        self._begin(now, place)
        return True

    def _begin(self, now: int, place: int) -> None:
        station, queue, run = self.line.stations[place], self.queues[place], self.runs[place]
        factor = math.exp(station.scatter * generator(self.seed, "duration", station.name, run).normal())
        end = now + max(1, round(station.minutes * factor))
        if station.attended_minutes:
            until = self.line.calendar.after(now, station.attended_minutes)
            self.operators_until.append(until)
            end = max(end, until)
        machine = heapq.heappop(self.free[place])
        taken = [queue.popleft() for _ in range(min(station.wells, len(queue)))]
        steps = [
            Step(w.sample, w.attempt, station.name, run, machine, w.since, now, end, station.cost_cents,
                 self.judge(w.sample, w.attempt, station.name, run))
            for w in taken
        ]  # fmt: skip
        self.running[(place, run)] = (machine, steps)
        self.runs[place] += 1
        heapq.heappush(self.events, (end, _Kind.ENDS, place, run, ""))

    def _wake(self, minute: int) -> bool:
        if minute not in self.wakes:
            self.wakes.add(minute)
            heapq.heappush(self.events, (minute, _Kind.WAKES, 0, 0, ""))
        return False
