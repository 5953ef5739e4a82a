"""Stretches in which findings were open, from looks now and then."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from evidence.findings.finding import Finding, Severity, Subject
from evidence.findings.registry import Assessment, RuleRun, RunStatus
from evidence.findings.spells import Spells, SpellState

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
Look = tuple[frozenset[str], RunStatus]


def at(hour: int) -> datetime:
    return NOON + timedelta(hours=hour)


def finding(name: str, severity: Severity = Severity.MEDIUM) -> Finding:
    return Finding("NET-001", severity, Subject("Workload", "shop", name), "open")


def look(names: str, status: RunStatus = RunStatus.RAN) -> Assessment:
    """A look at which the one rule hit the named workloads."""
    return Assessment(tuple(finding(name) for name in names), (RuleRun("NET-001", status, 1, "why"),))


def spells(*looks: Assessment) -> Spells:
    """One look an hour."""
    found = Spells()
    for hour, each in enumerate(looks):
        found.look(at(hour), each)
    return found


def test_a_finding_is_open_from_the_first_look_that_hits_it_to_the_first_that_does_not() -> None:
    (history,) = spells(look(""), look("a"), look("a"), look("")).histories()
    (spell,) = history.spells
    assert (spell.opened_at, spell.last_seen, spell.ended_at, spell.since_before) == (at(1), at(2), at(3), False)
    assert (history.state, history.open_for(at(9))) == (SpellState.CLOSED, timedelta(hours=2))


def test_what_the_first_look_hits_was_there_and_has_not_opened_then() -> None:
    found = Spells()
    assert found.look(NOON, look("a")).opened == ()
    (history,) = found.histories()
    assert history.spells[0].since_before


def test_an_open_finding_counts_until_the_end() -> None:
    (history,) = spells(look(""), look("a"), look("a")).histories()
    assert (history.state, history.open_for(at(5))) == (SpellState.OPEN, timedelta(hours=4))


def test_a_finding_that_comes_back_has_two_stretches() -> None:
    (history,) = spells(look("a"), look(""), look("a"), look("a")).histories()
    assert [(spell.opened_at, spell.ended_at) for spell in history.spells] == [(at(0), at(1)), (at(2), None)]
    assert history.open_for(at(3)) == timedelta(hours=2)


def test_a_look_in_part_closes_nothing() -> None:
    for status in (RunStatus.PARTIAL, RunStatus.NOT_RUN):
        found = spells(look("a"))
        turn = found.look(at(1), look("", status))
        assert (turn.closed, [lost.subject.name for lost in turn.lost]) == ((), ["a"])
        assert found.look(at(2), look("", status)).lost == ()  # told once
        (history,) = found.histories()
        assert (history.state, history.spells[0].last_seen) == (SpellState.NOT_DETERMINED, at(0))
        assert history.open_for(at(2)) == timedelta(hours=2)


def test_what_was_not_determined_is_one_stretch_when_it_is_hit_again() -> None:
    found = spells(look("a"), look("", RunStatus.PARTIAL))
    assert found.look(at(2), look("a")).opened == ()
    (history,) = found.histories()
    assert [(spell.opened_at, spell.state) for spell in history.spells] == [(at(0), SpellState.OPEN)]


def test_what_was_not_determined_closes_with_the_next_whole_look() -> None:
    found = spells(look("a"), look("", RunStatus.PARTIAL))
    turn = found.look(at(2), look(""))
    assert [closed.subject.name for closed in turn.closed] == ["a"]
    assert found.histories()[0].spells[0].ended_at == at(2)


def test_what_was_closed_is_not_determined_when_the_last_look_could_not_look_at_everything() -> None:
    (history,) = spells(look("a"), look(""), look("", RunStatus.PARTIAL)).histories()
    assert (history.state, history.spells[0].state) == (SpellState.NOT_DETERMINED, SpellState.CLOSED)
    assert history.open_for(at(2)) == timedelta(hours=1)


def test_a_rule_that_is_not_there_any_more_leaves_its_findings_undetermined() -> None:
    (history,) = spells(look("a"), Assessment((), ())).histories()
    assert history.state is SpellState.NOT_DETERMINED


def test_a_hit_after_a_look_in_part_may_have_been_there_before() -> None:
    (history,) = spells(look("", RunStatus.PARTIAL), look("a")).histories()
    assert history.spells[0].since_before


def test_open_findings_stand_before_closed_ones_and_the_worst_first() -> None:
    found = Spells()
    first = Assessment((finding("low", Severity.LOW), finding("gone", Severity.CRITICAL), finding("high", Severity.HIGH)),
                       (RuleRun("NET-001", RunStatus.RAN, 3),))  # fmt: skip
    found.look(at(0), first)
    found.look(at(1), Assessment((finding("low", Severity.LOW), finding("high", Severity.HIGH)), first.runs))
    assert [history.finding.subject.name for history in found.histories()] == ["high", "low", "gone"]


looks = st.lists(
    st.tuples(st.frozensets(st.sampled_from("abc")), st.sampled_from(list(RunStatus))), min_size=1, max_size=8
)


@given(looks)
def test_a_finding_is_open_at_every_look_that_hits_it_and_at_no_whole_look_that_does_not(
    given_looks: Sequence[Look],
) -> None:
    found = spells(*(look("".join(sorted(names)), status) for names, status in given_looks))
    stretches = {history.finding.subject.name: history.spells for history in found.histories()}
    for hour, (names, status) in enumerate(given_looks):
        for name in "abc":
            inside = [
                spell
                for spell in stretches.get(name, ())
                if spell.opened_at <= at(hour) and (spell.ended_at is None or at(hour) < spell.ended_at)
            ]
            assert len(inside) <= 1
            if name in names:
                assert inside
            elif status is RunStatus.RAN:
                assert not inside


@given(looks)
def test_stretches_follow_one_another_and_only_the_last_is_not_closed(given_looks: Sequence[Look]) -> None:
    found = spells(*(look("".join(sorted(names)), status) for names, status in given_looks))
    for history in found.histories():
        assert all(spell.state is SpellState.CLOSED for spell in history.spells[:-1])
        times = [time for spell in history.spells for time in (spell.opened_at, spell.ended_at) if time is not None]
        assert times == sorted(times)


@given(looks, st.lists(st.integers(1, 3), min_size=8, max_size=8))
def test_the_same_look_again_says_what_an_equal_one_says(given_looks: Sequence[Look], times: Sequence[int]) -> None:
    same, equal = Spells(), Spells()
    hour = 0
    for (names, status), often in zip(given_looks, times, strict=False):
        one = look("".join(sorted(names)), status)
        for _ in range(often):
            assert same.look(at(hour), one) == equal.look(at(hour), look("".join(sorted(names)), status))
            hour += 1
    assert same.histories() == equal.histories()
