from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evidence.service.period import parse_period

AUGUST = datetime(2026, 8, 15, 13, 30, tzinfo=UTC)


def day(year: int, month: int, number: int = 1) -> datetime:
    return datetime(year, month, number, tzinfo=UTC)


@pytest.mark.parametrize(
    ("given_period", "start", "finished"),
    [
        ("month", day(2026, 8), (day(2026, 7), day(2026, 8))),
        ("quarter", day(2026, 7), (day(2026, 4), day(2026, 7))),
        ("year", day(2026, 1), (day(2025, 1), day(2026, 1))),
        ("90d", AUGUST - timedelta(days=90), None),
    ],
)
def test_what_a_report_in_august_is_about(
    given_period: str, start: datetime, finished: tuple[datetime, datetime] | None
) -> None:
    period = parse_period(given_period)
    assert period.running(AUGUST) == (start, AUGUST)
    assert period.finished(AUGUST) == finished


@given(
    st.integers(0, 4 * 10**9).map(lambda seconds: datetime.fromtimestamp(seconds, UTC)),
    st.sampled_from(["month", "quarter", "year"]),
)
def test_a_finished_period_ends_where_the_running_one_starts(at: datetime, name: str) -> None:
    period = parse_period(name)
    start, end = period.running(at)
    finished = period.finished(at)
    assert start <= at == end
    assert finished is not None
    assert finished[1] == start
    assert period.running(finished[1] - timedelta(microseconds=1))[0] == finished[0]


@pytest.mark.parametrize("given_period", ["", "week", "0d", "-1d", "d", "1.5d", "99999999d", "2026-07-01..2026-09-30"])
def test_what_is_no_rolling_period_is_refused(given_period: str) -> None:
    with pytest.raises(ValueError, match="is not month, quarter, year"):
        parse_period(given_period)
