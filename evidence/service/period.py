"""Periods that roll on with the calendar: what a scheduled report is about.

A calendar period (month, quarter, year; UTC) is reported while it runs, up to now, and once more as a whole when it is over. `90d` and the
like are the last so many days.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

MONTHS = {"month": 1, "quarter": 3, "year": 12}

Span = tuple[datetime, datetime]  # start and end, the end exclusive


@dataclass(frozen=True, slots=True)
class RollingPeriod:
    """`months` of the calendar, or the last `days`; one of them is 0."""

    months: int = 0
    days: int = 0

    def running(self, at: datetime) -> Span:
        """The period that `at` is in, from its start to `at`."""
        return (self._calendar_start(at) if self.months else at - timedelta(days=self.days)), at

    def finished(self, at: datetime) -> Span | None:
        """The whole calendar period before the one that `at` is in; None for the last so many days, which are never over."""
        if not self.months:
            return None
        end = self._calendar_start(at)
        return self._calendar_start(end - timedelta(days=1)), end

    def _calendar_start(self, at: datetime) -> datetime:
        at = at.astimezone(UTC)
        return datetime(at.year, (at.month - 1) // self.months * self.months + 1, 1, tzinfo=UTC)


def parse_period(given: str) -> RollingPeriod:
    """`month`, `quarter`, `year`, or a number of days such as `90d`. Raises ValueError."""
    if given in MONTHS:
        return RollingPeriod(months=MONTHS[given])
    if given.endswith("d") and given[:-1].isdecimal() and 0 < int(given[:-1]) <= 36500:
        return RollingPeriod(days=int(given[:-1]))
    raise ValueError(f"{given!r} is not month, quarter, year or a number of days such as 90d")
