"""Coverage of a period: what counts as a gap."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence.frameworks.coverage import Uncovered, coverage

START = datetime(2026, 7, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


def at(hours: float) -> datetime:
    return START + hours * HOUR


def test_a_snapshot_every_hour_covers_the_whole_day() -> None:
    found = coverage([at(hour) for hour in range(24)], START, START + DAY, HOUR)

    assert found.gaps == ()
    assert found.share == 1.0


def test_a_missed_run_is_a_gap_from_when_it_was_due_to_the_next_one() -> None:
    found = coverage([at(hour) for hour in range(24) if hour != 10], START, START + DAY, HOUR)

    assert found.gaps == (Uncovered(at(10), at(11)),)
    assert found.share == 23 / 24


def test_a_run_that_is_a_little_late_leaves_no_gap() -> None:
    late = coverage([at(0), at(1.05), at(2)], START, at(3), HOUR)
    too_late = coverage([at(0), at(1.2), at(2)], START, at(3), HOUR)

    assert late.gaps == ()
    assert too_late.gaps == (Uncovered(at(1), at(1.2)),)


def test_nothing_vouches_for_the_time_before_a_late_first_snapshot() -> None:
    found = coverage([at(5)], START, at(6), HOUR)

    assert found.gaps == (Uncovered(START, at(5)),)


def test_a_collector_that_stopped_leaves_the_rest_of_the_period_open() -> None:
    found = coverage([at(0), at(1)], START, at(10), HOUR)

    assert found.gaps == (Uncovered(at(2), at(10)),)
    assert found.share == 0.2


def test_without_any_snapshot_nothing_is_covered() -> None:
    found = coverage([at(-3), at(40)], START, START + DAY, HOUR)

    assert found == coverage([], START, START + DAY, HOUR)
    assert (found.share, found.gaps) == (0.0, (Uncovered(START, START + DAY),))


@given(
    times=st.lists(st.floats(min_value=0, max_value=99.9), max_size=40).map(lambda hours: [at(hour) for hour in hours]),
    every=st.integers(min_value=1, max_value=60).map(lambda hours: hours * HOUR),
)
def test_law_gaps_hold_no_snapshot_lie_apart_and_add_up_with_the_share(times: list[datetime], every: timedelta) -> None:
    end = at(100)

    found = coverage(times, START, end, every)

    assert all(START <= gap.start < gap.end <= end for gap in found.gaps)
    assert all(one.end < other.start for one, other in zip(found.gaps, found.gaps[1:], strict=False))
    assert not any(gap.start < time < gap.end for gap in found.gaps for time in times)
    missing = sum((gap.end - gap.start for gap in found.gaps), timedelta())
    assert abs(found.share - (1 - missing / (end - START))) < 1e-9


@given(
    times=st.lists(st.integers(min_value=0, max_value=99), min_size=1, max_size=30),
    extra=st.integers(min_value=0, max_value=99),
)
def test_law_one_more_snapshot_never_covers_less(times: list[int], extra: int) -> None:
    before = coverage([at(time) for time in times], START, at(100), 3 * HOUR)
    after = coverage([at(time) for time in [*times, extra]], START, at(100), 3 * HOUR)

    assert after.share >= before.share


def test_the_longest_gap_is_the_first_of_several_as_long() -> None:
    found = coverage([at(0), at(3), at(6), at(7)], START, at(8), HOUR)

    assert found.longest == Uncovered(at(1), at(3))
    assert coverage([at(0)], START, at(1), HOUR).longest is None
