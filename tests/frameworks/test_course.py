"""How a control stood from snapshot to snapshot."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence.frameworks.course import Course, Stretch, courses
from evidence.frameworks.model import ControlResult, Verdict
from evidence.frameworks.period import worst

START = datetime(2026, 7, 1, tzinfo=UTC)
SUPPORTED, REFUTED, UNKNOWN = Verdict.SUPPORTED, Verdict.REFUTED, Verdict.NOT_DETERMINED


def at(hour: int) -> datetime:
    return START + timedelta(hours=hour)


def snapshots(*verdicts: Verdict) -> list[tuple[datetime, tuple[ControlResult, ...]]]:
    """One an hour."""
    return [(at(hour), (ControlResult("1.1", verdict, None, ()),)) for hour, verdict in enumerate(verdicts)]


def course(*verdicts: Verdict) -> Course:
    return courses(snapshots(*verdicts))["1.1"]


def test_start_worst_and_end_are_those_of_the_snapshots() -> None:
    found = course(SUPPORTED, SUPPORTED, REFUTED, REFUTED, UNKNOWN)
    assert (found.start, found.end) == (SUPPORTED, UNKNOWN)
    assert found.worst == (Stretch(REFUTED, at(2), at(4)),)
    assert found.worst_for == timedelta(hours=2)


def test_a_control_that_was_refuted_twice_was_refuted_for_both_times() -> None:
    found = course(REFUTED, SUPPORTED, REFUTED, SUPPORTED)
    assert [stretch.start for stretch in found.worst] == [at(0), at(2)]
    assert found.worst_for == timedelta(hours=2)


def test_what_never_changed_is_one_stretch_to_the_last_snapshot() -> None:
    assert course(SUPPORTED, SUPPORTED, SUPPORTED).stretches == (Stretch(SUPPORTED, at(0), at(2)),)


def test_a_refutation_in_the_last_snapshot_alone_is_the_worst_however_short() -> None:
    found = course(SUPPORTED, REFUTED)
    assert (found.end, found.worst_for) == (REFUTED, timedelta())
    assert found.worst == (Stretch(REFUTED, at(1), at(1)),)


@given(st.lists(st.sampled_from(list(Verdict)), min_size=1, max_size=12))
def test_stretches_say_the_verdict_of_every_snapshot_and_the_worst_is_the_periods(verdicts: Sequence[Verdict]) -> None:
    found = course(*verdicts)
    last = len(verdicts) - 1
    for hour, verdict in enumerate(verdicts):
        (there,) = [
            each for each in found.stretches if each.start <= at(hour) < each.end or at(hour) == at(last) == each.end
        ][-1:]
        assert there.verdict is verdict
    assert all(
        one.verdict is not other.verdict for one, other in zip(found.stretches, found.stretches[1:], strict=False)
    )
    (result,) = worst(snapshots(*verdicts))
    assert result.verdict is found.worst[0].verdict or (result.verdict, found.worst[0].verdict) == (UNKNOWN, SUPPORTED)
