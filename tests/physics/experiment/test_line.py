"""The event simulation of a line: nothing lost, nothing over capacity, time forward, cost to the cent, any seed."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from physics.experiment.clock import DAY, WEEK, Calendar
from physics.experiment.draws import generator
from physics.experiment.line import Absence, Arrival, Line, Station, operate

ROUND_THE_CLOCK = Calendar(0, DAY, frozenset(range(7)))

calendars = st.builds(
    lambda opens, hours, days: Calendar(opens, opens + hours, frozenset(days)),
    st.integers(0, 12 * 60), st.integers(30, 12 * 60), st.sets(st.integers(0, 6), min_size=1),
)  # fmt: skip
stations = st.builds(
    Station,
    name=st.just(""),
    machines=st.integers(1, 3),
    wells=st.integers(1, 5),
    minutes=st.integers(1, 2000),
    scatter=st.floats(0, 0.8),
    patience_minutes=st.integers(0, 1500),
    attended_minutes=st.integers(0, 700),
    cost_cents=st.integers(0, 99_999),
)


@st.composite
def lines(draw):
    drawn = draw(st.lists(stations, min_size=1, max_size=4))
    named = tuple(Station(**{**vars(station), "name": f"s{i}"}) for i, station in enumerate(drawn))
    begin, length, left = draw(st.integers(0, WEEK)), draw(st.integers(1, WEEK)), draw(st.integers(0, 2))
    absences = (Absence(begin, begin + length, left),) if draw(st.booleans()) else ()
    return Line(named, draw(st.integers(1, 3)), draw(calendars), absences, draw(st.integers(1, 3)))


minutes = st.lists(st.integers(0, 3 * WEEK), max_size=25)
seeds = st.integers(0, 2**32)


def arrivals_at(times):
    return [Arrival(f"x{i}", minute) for i, minute in enumerate(sorted(times))]


def judge_of(seed, share=0.2):
    return lambda sample, attempt, station, run: bool(generator(seed, sample, attempt, station).random() > share)


def simulated(line, times, seed):
    arrivals = arrivals_at(times)
    return arrivals, operate(line, arrivals, judge_of(seed), seed)


@settings(max_examples=150, deadline=None)
@given(lines(), minutes, seeds)
def test_no_sample_is_lost_or_doubled_and_each_takes_its_path(line, times, seed):
    arrivals, finished = simulated(line, times, seed)
    assert sorted(done.sample for done in finished) == sorted(arrival.sample for arrival in arrivals)
    names = [station.name for station in line.stations]
    for done in finished:
        attempts = [[s for s in done.steps if s.attempt == k + 1] for k in range(done.attempts)]
        assert sum(map(len, attempts)) == len(done.steps)
        for steps in attempts:
            assert [s.station for s in steps] == names[: len(steps)]
            assert all(s.passed for s in steps[:-1])
        assert [steps[-1].passed for steps in attempts] == [False] * (done.attempts - 1) + [done.passed]
        assert done.passed == (attempts[-1][-1].station == names[-1] and attempts[-1][-1].passed)
        assert done.passed or done.attempts == line.attempts


@settings(max_examples=150, deadline=None)
@given(lines(), minutes, seeds)
def test_time_never_goes_back(line, times, seed):
    arrivals, finished = simulated(line, times, seed)
    assert [done.minute for done in finished] == sorted(done.minute for done in finished)
    came = {arrival.sample: arrival.minute for arrival in arrivals}
    for done in finished:
        now = came[done.sample]
        for step in done.steps:
            assert step.queued == now <= step.start < step.end
            now = step.end
        assert done.minute == now


@settings(max_examples=150, deadline=None)
@given(lines(), minutes, seeds)
def test_no_capacity_is_exceeded(line, times, seed):
    _, finished = simulated(line, times, seed)
    steps = [step for done in finished for step in done.steps]
    wells = Counter((step.station, step.run) for step in steps)
    runs = {(s.station, s.run, s.machine, s.start, s.end) for s in steps}
    assert len(runs) == len(wells), "all samples of a run share machine, start and end"
    attended = []
    for station in line.stations:
        own = sorted((start, end, run, machine) for name, run, machine, start, end in runs if name == station.name)
        assert all(wells[station.name, run] <= station.wells for _, _, run, _ in own)
        for machine in range(station.machines):
            spans = [(start, end) for start, end, _, which in own if which == machine]
            assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert all(0 <= which < station.machines for _, _, _, which in own)
        if station.attended_minutes:
            assert all(line.calendar.is_open(start) for start, *_ in own)
            attended += [(start, line.calendar.after(start, station.attended_minutes)) for start, *_ in own]
    for start, _ in attended:
        assert sum(begin <= start < end for begin, end in attended) <= line.operators_at(start)


@settings(max_examples=100, deadline=None)
@given(lines(), minutes, seeds)
def test_cost_is_the_sum_of_the_steps_to_the_cent(line, times, seed):
    _, finished = simulated(line, times, seed)
    price = {station.name: station.cost_cents for station in line.stations}
    passed = Counter(step.station for done in finished for step in done.steps)
    assert sum(done.cost_cents for done in finished) == sum(price[name] * count for name, count in passed.items())


@settings(max_examples=150, deadline=None)
@given(lines(), minutes, seeds, st.integers(0, 4 * WEEK))
def test_what_has_ended_does_not_depend_on_what_comes_later(line, times, seed, now):
    """So a campaign may ask whenever it likes, and simulate again after a crash."""
    arrivals = arrivals_at(times)
    before = operate(line, [a for a in arrivals if a.minute < now], judge_of(seed), seed)
    every = operate(line, arrivals, judge_of(seed), seed)
    assert [d for d in before if d.minute <= now] == [d for d in every if d.minute <= now]


@settings(max_examples=200, deadline=None)
@given(calendars, st.integers(0, 3 * WEEK), st.integers(1, 3000))
def test_work_takes_as_many_open_minutes_as_it_is_long(calendar, minute, work):
    """Counted minute by minute."""
    opened = calendar.next_open(minute)
    assert calendar.is_open(opened) and not any(calendar.is_open(m) for m in range(minute, opened))
    end = calendar.after(minute, work)
    assert calendar.is_open(end - 1) and sum(calendar.is_open(m) for m in range(minute, end)) == work


def test_a_furnace_filled_on_friday_is_emptied_and_measured_on_monday():
    furnace = Station("furnace", 1, 4, 600, 0.0, 0, 10, 5000)
    meter = Station("meter", 1, 1, 20, 0.0, 0, 20, 1000)
    friday = 4 * DAY + 16 * 60
    done = operate(Line((furnace, meter), 1), [Arrival("a", friday), Arrival("b", friday)], judge_of(0, 0.0), 0)
    assert [(d.sample, d.minute) for d in done] == [("a", WEEK + 8 * 60 + 20), ("b", WEEK + 8 * 60 + 40)]
    assert [d.cost_cents for d in done] == [6000, 6000]


def test_fewer_operators_make_a_bottleneck():
    bench = Station("bench", 6, 1, 30, 0.0, 0, 30, 0)
    arrivals = [Arrival(str(i), 8 * 60) for i in range(6)]
    busy = Line((bench,), 6)
    away = Line((bench,), 6, absences=(Absence(0, WEEK, 1),))
    assert operate(busy, arrivals, judge_of(0, 0.0), 0)[-1].minute == 8 * 60 + 30
    assert operate(away, arrivals, judge_of(0, 0.0), 0)[-1].minute == 8 * 60 + 180


def test_nobody_at_all_ends_with_the_absence():
    bench = Station("bench", 1, 1, 30, 0.0, 0, 30, 0)
    line = Line((bench,), 1, ROUND_THE_CLOCK, (Absence(0, 5 * DAY, 0),))
    assert operate(line, [Arrival("a", 0)], judge_of(0, 0.0), 0)[0].minute == 5 * DAY + 30


@pytest.mark.parametrize("change", [{"machines": 0}, {"wells": 0}, {"minutes": 0}, {"cost_cents": -1}])
def test_impossible_stations_are_refused(change):
    sound = {"name": "s", "machines": 1, "wells": 1, "minutes": 1, "scatter": 0.0, "patience_minutes": 0}
    with pytest.raises(ValueError, match="station s"):
        Station(**{**sound, "attended_minutes": 0, "cost_cents": 0, **change})


def test_a_sample_arrives_once():
    line = Line((Station("s", 1, 1, 1, 0.0, 0, 0, 0),), 1)
    with pytest.raises(ValueError, match="arrives once"):
        operate(line, [Arrival("a", 0), Arrival("a", 1)], judge_of(0), 0)
