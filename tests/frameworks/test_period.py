"""Over a period the worst snapshot counts."""

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from evidence.frameworks.coverage import Coverage, Uncovered
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
    in_part = SUPPORTED in (first, second) and {first, second} & {NOT_APPLICABLE, NOT_ASSESSED}
    assert found.verdict is (UNKNOWN if in_part else max(first, second, key=order.index))


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


def test_support_in_some_snapshots_only_is_none_and_says_where_the_control_did_not_apply() -> None:
    found = worst([snapshot(0, NOT_APPLICABLE), snapshot(1, SUPPORTED)])[0]
    assert (found.verdict, found.strength) == (UNKNOWN, None)
    assert found.reasons[0] == (
        "not applicable in 1 of 2 snapshots, the newest of them 2026-07-01 06:00 UTC: reason of day 0; what is declared changed within the "
        "period, so that support was not shown for all of it"
    )
    assert found.reasons[1].startswith("supported in 1 of 2 snapshots (2026-07-02 06:00 UTC)")


def covered(days: float, of: float = 10) -> Coverage:
    """So many days of the period's first ones."""
    gaps = (Uncovered(START + timedelta(days=days), START + timedelta(days=of)),) if days < of else ()
    return Coverage(days / of, gaps, timedelta(days=days))


def test_a_gap_is_the_first_thing_that_a_supported_result_says() -> None:
    found = worst([snapshot(0, SUPPORTED), snapshot(1, SUPPORTED)], covered(7))[0]
    assert (found.verdict, found.strength) == (SUPPORTED, Strength.ENFORCED)
    assert found.reasons[0] == (
        "held in 2 snapshots that cover 70.0 % of the period; nothing is known of 1 gap (2026-07-08 06:00 UTC to 2026-07-11 06:00 UTC)"
    )


def test_snapshots_that_cover_less_than_half_of_the_period_support_nothing() -> None:
    assert worst([snapshot(0, SUPPORTED)], covered(5))[0].verdict is SUPPORTED
    found = worst([snapshot(0, SUPPORTED)], covered(4.9))[0]
    assert (found.verdict, found.strength) == (UNKNOWN, None)
    assert found.reasons[0].startswith("held in 1 snapshot that covers 49.0 % of the period: less than 50% of a period")
    assert found.reasons[1].startswith("nothing is known of 1 gap (2026-07-06 03:36 UTC to ")


@pytest.mark.parametrize("verdict", [REFUTED, UNKNOWN, NOT_APPLICABLE, NOT_ASSESSED])
def test_coverage_changes_no_other_result(verdict: Verdict) -> None:
    assert worst([snapshot(0, verdict)], covered(1)) == worst([snapshot(0, verdict)])


def test_a_whole_period_and_one_intent_file_say_nothing_of_either() -> None:
    given = [snapshot(0, SUPPORTED), snapshot(1, SUPPORTED)]
    assert worst(given, covered(10), ["a", "a"]) == worst(given)


def test_a_change_of_the_intent_file_is_said_of_what_is_supported() -> None:
    found = worst([snapshot(day, SUPPORTED) for day in range(3)], covered(10), ["a", "b", "b"])[0]
    assert found.verdict is SUPPORTED
    assert found.reasons[1] == (
        "the intent file changed 1 time within the period (first seen 2026-07-02 06:00 UTC); each snapshot was judged by the zones of its own"
    )


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


@pytest.mark.parametrize("verdict", Verdict)
def test_what_retention_dropped_may_have_refuted_so_nothing_is_supported_beside_it(verdict: Verdict) -> None:
    found = worst([snapshot(0, verdict), snapshot(1, verdict)], gone="3 snapshots are no longer available")[0]
    assert found.verdict is (UNKNOWN if verdict is SUPPORTED else verdict)
    assert found.strength is None
    assert (found.reasons[0] == "3 snapshots are no longer available") is (verdict is SUPPORTED)
