"""How much of a period its snapshots cover, when one is due every so often.

A snapshot vouches for the time until the next one is due. What follows from it:
1. Two neighbours further apart than one interval leave a gap, from when the next was due to when it came.
2. Before the first snapshot and after the last one the same holds, with the ends of the period in place of a neighbour; but nothing
   vouches for the time before a late first snapshot, so that gap begins with the period.
3. A tenth of the interval is forgiven (a run starts late, a list takes its time): runs at 10:00:02 and 11:00:05 leave no gap.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise

FORGIVEN = 0.1  # of the interval


@dataclass(frozen=True, slots=True)
class Uncovered:
    """A stretch of the period for which no snapshot vouches."""

    start: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class Coverage:
    """`share` of the period that is covered, 0 to 1, and how long that is; `gaps` in order of time, never touching."""

    share: float
    gaps: tuple[Uncovered, ...]
    covered: timedelta

    @property
    def longest(self) -> Uncovered | None:
        """The longest gap, the first one of several; None without any."""
        return max(self.gaps, key=lambda gap: gap.length, default=None)


def coverage(times: Iterable[datetime], start: datetime, end: datetime, every: timedelta) -> Coverage:
    """Coverage of [start, end) by snapshots at `times` (any order; those outside the period do not count)."""
    inside = sorted(time for time in times if start <= time < end)
    late = every * (1 + FORGIVEN)
    if not inside:
        return Coverage(0.0, (Uncovered(start, end),), timedelta())
    gaps = [Uncovered(start, inside[0])] if inside[0] - start > late else []
    gaps += [Uncovered(one + every, next_one) for one, next_one in pairwise([*inside, end]) if next_one - one > late]
    missing = sum((gap.length for gap in gaps), timedelta())
    covered = end - start - missing
    return Coverage(covered / (end - start), tuple(gaps), covered)


def coverage_so_far(
    times: Sequence[datetime], start: datetime, end: datetime, every: timedelta, now: datetime
) -> Coverage:
    """Coverage of a period as far as it is over `now`: what is still to come cannot be missing. `times` are oldest first, at least one."""
    return coverage(times, start, min(end, max(now, times[-1] + timedelta(microseconds=1))), every)
