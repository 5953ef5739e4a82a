"""Over a period the worst snapshot counts."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from evidence.frameworks.model import ControlResult, Strength, Verdict
from evidence.frameworks.period import worst

START = datetime(2026, 7, 1, 6, 0, tzinfo=UTC)
SUPPORTED, REFUTED, UNKNOWN, NOT_APPLICABLE, NOT_ASSESSED = Verdict


def snapshot(day: int, verdict: Verdict, **given: object) -> tuple[datetime, tuple[ControlResult, ...]]:
    strength = given.pop("strength", Strength.ENFORCED if verdict is SUPPORTED else None)
    made = ControlResult("1.1", verdict, strength, (f"reason of day {day}",), **given)  # type: ignore[arg-type]
    return START + timedelta(days=day), (made,)


@pytest.mark.parametrize(("first", "second"), list(product(Verdict, Verdict)))
def test_the_worse_of_two_counts_in_any_order(first: Verdict, second: Verdict) -> None:
    order = [NOT_ASSESSED, NOT_APPLICABLE, SUPPORTED, UNKNOWN, REFUTED]
    found = worst([snapshot(0, first), snapshot(1, second)])[0]
    assert found.verdict is max(first, second, key=order.index)


def test_the_reasons_are_those_of_the_newest_of_the_worst_and_say_when() -> None:
    found = worst([snapshot(0, REFUTED), snapshot(14, SUPPORTED), snapshot(20, REFUTED), snapshot(30, SUPPORTED)])[0]
    assert found.reasons == (
        "refuted in 2 of 4 snapshots (2026-07-01 06:00 UTC, 2026-07-21 06:00 UTC); the reasons are those of 2026-07-21 06:00 UTC",
        "reason of day 20",
    )


def test_many_bad_snapshots_are_counted_and_the_newest_named() -> None:
    found = worst([*(snapshot(day, REFUTED) for day in range(9)), snapshot(9, SUPPORTED)])[0]
    assert found.reasons[0].startswith("refuted in 9 of 10 snapshots (the newest of these: 2026-07-06 06:00 UTC, ")


def test_the_same_all_along_says_so() -> None:
    found = worst([snapshot(day, SUPPORTED) for day in range(3)])[0]
    assert found.reasons[0] == "supported in each of 3 snapshots; the reasons are those of 2026-07-03 06:00 UTC"


def test_the_weakest_strength_counts() -> None:
    found = worst([snapshot(0, SUPPORTED), snapshot(1, SUPPORTED, strength=Strength.COMPUTED), snapshot(2, SUPPORTED)])
    assert found[0].strength is Strength.COMPUTED


def test_findings_of_every_snapshot_stay_on_file() -> None:
    found = worst(
        [
            snapshot(0, REFUTED, findings=("a",), related=("r", "b")),
            snapshot(1, REFUTED, findings=("b",), related=("r",)),
            snapshot(2, SUPPORTED, related=("s", "a")),
        ]
    )[0]
    assert (found.findings, found.related) == (("a", "b"), ("r", "s"))


def test_what_is_never_assessed_has_no_when() -> None:
    assert worst([snapshot(0, NOT_ASSESSED), snapshot(1, NOT_ASSESSED)])[0].reasons == ("reason of day 1",)


def test_no_snapshots_give_no_results() -> None:
    assert worst([]) == ()
