from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from evidence.service.trigger import cron, every, longest_wait, next_due

MONDAY = datetime(2026, 6, 29, tzinfo=UTC)
HOUR = timedelta(hours=1)


def weekdays(expression: str) -> list[str]:
    """Days of one week on which a cron expression is due."""
    trigger, found, at = cron(expression), [], MONDAY
    while (due := next_due(trigger, at)) is not None and due < MONDAY + timedelta(days=7):
        found.append(f"{due:%a}")
        at = due + timedelta(microseconds=1)
    return found


@pytest.mark.parametrize(
    ("field", "days"),
    [
        ("0", ["Sun"]),
        ("7", ["Sun"]),
        ("1", ["Mon"]),
        ("1-5", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("5-7", ["Fri", "Sat", "Sun"]),
        ("0-6", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
        ("1,3", ["Mon", "Wed"]),
        ("*/2", ["Tue", "Thu", "Sat", "Sun"]),
        ("mon-fri", ["Mon", "Tue", "Wed", "Thu", "Fri"]),
        ("SUN", ["Sun"]),
        ("*", ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
    ],
)
def test_days_of_the_week_are_numbered_as_cron_numbers_them(field: str, days: list[str]) -> None:
    assert weekdays(f"0 6 * * {field}") == days


@pytest.mark.parametrize(
    "expression", ["", "* * * *", "* * * * * *", "61 * * * *", "* * * * 8", "* * * * 5-3", "x * * * *"]
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  (the sentence is APScheduler's or ours)
        cron(expression)


def test_cron_counts_in_the_given_zone() -> None:
    due = next_due(cron("0 6 * * *", ZoneInfo("Asia/Kolkata")), MONDAY)
    assert due == datetime(2026, 6, 29, 0, 30, tzinfo=UTC)


def test_an_interval_keeps_its_beat_whatever_the_runs_take() -> None:
    trigger = every(HOUR, MONDAY)
    assert next_due(trigger, MONDAY) == MONDAY
    assert next_due(trigger, MONDAY + timedelta(minutes=1)) == MONDAY + HOUR
    assert next_due(trigger, MONDAY + timedelta(hours=5, minutes=59)) == MONDAY + 6 * HOUR


def test_the_longest_wait_is_how_often_a_snapshot_is_due_at_least() -> None:
    assert longest_wait(every(HOUR, MONDAY), MONDAY) == HOUR
    assert longest_wait(cron("7 * * * *"), MONDAY) == HOUR
    assert longest_wait(cron("0 8-18 * * 1-5"), MONDAY) == timedelta(days=2, hours=14)
