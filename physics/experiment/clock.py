"""Working time: in which minutes of the week somebody is there.

Time is whole minutes from the Monday midnight before a campaign begins, so that nothing is lost to rounding.
"""

from dataclasses import dataclass

DAY, WEEK = 24 * 60, 7 * 24 * 60


@dataclass(frozen=True)
class Calendar:
    """Opening hours that repeat every week.

    Attributes:
        opens: minute of the day.
        closes: minute of the day, after `opens`.
        days: of the week, Monday being 0.
    """

    opens: int = 8 * 60
    closes: int = 17 * 60
    days: frozenset[int] = frozenset(range(5))

    def __post_init__(self) -> None:
        if not 0 <= self.opens < self.closes <= DAY:
            raise ValueError(f"{self.opens=}, {self.closes=}: give minutes of one day in this order")
        if not self.days or not self.days <= set(range(7)):
            raise ValueError(f"{sorted(self.days)=}: name at least one day from 0 (Monday) to 6")

    def is_open(self, minute: int) -> bool:
        """Return whether somebody is there in this minute."""
        return minute % WEEK // DAY in self.days and self.opens <= minute % DAY < self.closes

    def next_open(self, minute: int) -> int:
        """Return the first minute from this one on in which somebody is there."""
        if self.is_open(minute):
            return minute
        day = minute // DAY + (minute % DAY >= self.closes)
        while day % 7 not in self.days:
            day += 1
        return max(minute, day * DAY + self.opens)

    def after(self, minute: int, work: int) -> int:
        """Return when work of so many minutes is done that begins in or after this minute and rests out of hours."""
        now = self.next_open(minute)
        while work > (left := now // DAY * DAY + self.closes - now):
            work -= left
            now = self.next_open(now + left)
        return now + work


WEEKDAYS = Calendar()
