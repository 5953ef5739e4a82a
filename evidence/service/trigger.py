"""When runs are due: APScheduler's triggers, asked for the next time only.

Asked afresh after each run, a trigger gives the next time from then on: runs that became due during a long one are left out, not
made up for. A cron expression is read as cron reads it (https://man7.org/linux/man-pages/man5/crontab.5.html), which matters for days of
the week: in crontab 0 and 7 are Sunday, in APScheduler 3 0 is Monday, so numbers are turned into names here.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from typing import Protocol

from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger

_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIMES_LOOKED_AT = 200  # enough to see a week of `0 8-18 * * mon-fri` and its weekend


class Trigger(Protocol):
    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None: ...


def every(interval: timedelta, start: datetime) -> Trigger:
    """The first at `start`, then one each interval."""
    trigger: Trigger = IntervalTrigger(seconds=interval.total_seconds(), start_date=start, timezone=UTC)
    return trigger


def cron(expression: str, timezone: tzinfo = UTC) -> Trigger:
    """Five fields: minute, hour, day of month, month, day of week. Raises ValueError."""
    fields = expression.split()
    if len(fields) != 5:
        raise ValueError(f"a cron expression has five fields, {expression!r} has {len(fields)}")
    trigger: Trigger = CronTrigger.from_crontab(" ".join([*fields[:4], _named_days(fields[4])]), timezone=timezone)
    return trigger


def _named_days(field: str) -> str:
    """`1-5` as `mon,tue,wed,thu,fri`; names and `*` as they are."""
    return ",".join(_named_part(part.lower()) for part in field.split(","))


def _named_part(part: str) -> str:
    match = re.fullmatch(r"(\d|\*)(?:-(\d))?(?:/(\d+))?", part)
    if match is None or part == "*":
        return part
    first, last, step = match.groups()
    begin, end = (0, 6) if first == "*" else (int(first), int(last or (6 if step else first)))
    numbers = range(begin, end + 1, int(step or 1))
    if not numbers or numbers[-1] > 7:
        raise ValueError(f"{part!r} is no day of the week: give 0 (Sunday) to 7, or mon to sun")
    return ",".join(dict.fromkeys(_DAYS[number] for number in numbers))


def next_due(trigger: Trigger, now: datetime) -> datetime | None:
    """The first time from `now` on; None when there is no further one."""
    due = trigger.get_next_fire_time(None, now)
    return due.astimezone(UTC) if due else None


def longest_wait(trigger: Trigger, now: datetime) -> timedelta:
    """The longest time between two runs, as far as can be seen ahead: how often a snapshot is due at least."""
    times: list[datetime] = []
    while len(times) < _TIMES_LOOKED_AT:
        due = next_due(trigger, times[-1] + timedelta(microseconds=1) if times else now)
        if due is None:
            break
        times.append(due)
    return max((later - earlier for earlier, later in pairwise(times)), default=timedelta(days=1))
