"""Queries in flight and the campaign's clock."""

from collections.abc import Sequence
from dataclasses import dataclass

from mfal.oracle import Query


@dataclass(frozen=True)
class Flight:
    """A query that has been submitted and not yet answered; `due_hours` is on the campaign's clock."""

    query: Query
    due_hours: float


def next_landing(flights: Sequence[Flight]) -> tuple[float, list[Flight]]:
    """Return the next time at which answers are due on a declared clock, and the flights that land then.

    Declared latencies decide the order of events, not the speed of this machine, so that a campaign
    takes the same decisions on every run, however its calculations happen to be timed.
    """
    due = min(flight.due_hours for flight in flights)
    return due, [flight for flight in flights if flight.due_hours == due]
