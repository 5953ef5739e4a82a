"""Findings over a period: lifetimes, waivers, and what they say of each control."""

from dataclasses import replace
from datetime import date

import pytest

from evidence.errors import ReportError
from evidence.findings.finding import Severity
from evidence.frameworks.judge import Verdict
from evidence.report.view import build_view
from evidence.report.view.lifetimes import lifetimes
from evidence.report.view.model import FindingState, WaiverState
from tests.report.inputs import DAYS, assessed, collected, hit, inputs, intent, results, review, snapshot, waiver


def lived(*assessments: object) -> FindingState:
    (life,) = lifetimes([snapshot(n, DAYS[n], one) for n, one in enumerate(assessments)])  # type: ignore[arg-type]
    return life.state


def test_a_finding_in_the_newest_snapshot_is_open_however_often_it_was_away() -> None:
    assert lived(assessed(), assessed(), assessed(hit())) is FindingState.OPEN
    assert lived(assessed(hit()), assessed(), assessed(hit())) is FindingState.OPEN


def test_a_finding_is_closed_only_when_its_rule_looked_at_everything_at_the_end() -> None:
    assert lived(assessed(hit()), assessed(), assessed()) is FindingState.CLOSED
    assert lived(assessed(hit()), assessed(), assessed(partial=["SEG-001"])) is FindingState.NOT_DETERMINED
    assert lived(assessed(hit()), assessed(), assessed(not_run=["SEG-001"])) is FindingState.NOT_DETERMINED
    assert lived(assessed(hit()), assessed(partial=["SEG-001"]), assessed()) is FindingState.CLOSED


def test_a_rule_that_is_not_there_any_more_leaves_its_findings_undetermined() -> None:
    gone = assessed(rules=["NET-001"])

    assert lived(assessed(hit()), gone) is FindingState.NOT_DETERMINED


def test_the_lifetime_runs_from_the_first_sight_to_the_first_clean_look() -> None:
    other = hit(name="pay/other")
    seen = [assessed(hit()), assessed(hit(), other), assessed(other, partial=["NET-001"])]

    first, second = lifetimes([snapshot(n, DAYS[n], one) for n, one in enumerate(seen)])

    assert (str(first.finding.subject), first.since_start, first.first_seen) == ("Workload pay/other", False, DAYS[1])
    assert (first.last_seen, first.closed_at, first.times_seen) == (DAYS[2], None, 2)
    assert (second.state, second.since_start, second.times_seen) == (FindingState.CLOSED, True, 2)
    assert (second.last_seen, second.closed_at) == (DAYS[1], DAYS[2])


def test_how_long_a_finding_was_open_is_all_its_stretches_together() -> None:
    seen = (assessed(hit()), assessed(), assessed(hit()))
    view = build_view(inputs(*(snapshot(n, DAYS[n], one) for n, one in enumerate(seen))))
    (found,) = view.findings

    assert [(each.opened_at, each.ended_at) for each in found.stretches] == [(DAYS[0], DAYS[1]), (DAYS[2], None)]
    assert [each.since_before for each in found.stretches] == [True, False]
    assert found.open_seconds == 30 * 86400


def test_a_finding_that_closed_and_may_have_come_back_unseen_is_not_determined() -> None:
    (life,) = lifetimes(
        [
            snapshot(n, DAYS[n], one)
            for n, one in enumerate([assessed(hit()), assessed(), assessed(partial=["SEG-001"])])
        ]
    )

    assert (life.state, life.closed_at, life.open_for.days) == (FindingState.NOT_DETERMINED, DAYS[1], 30)


def test_a_control_is_told_at_the_start_at_its_worst_and_at_the_end() -> None:
    verdicts = (Verdict.SUPPORTED, Verdict.REFUTED, Verdict.NOT_DETERMINED)
    view = build_view(
        inputs(*(snapshot(n, DAYS[n], results=results({"1.3.1": verdict})) for n, verdict in enumerate(verdicts)))
    )
    (told,) = [one for one in view.controls if one.id == "1.3.1"]

    assert (told.at_start, told.at_worst, told.at_end) == verdicts
    assert [(each.verdict, each.start, each.end) for each in told.worst_stretches] == [
        (Verdict.REFUTED, DAYS[1], DAYS[2])
    ]
    assert told.worst_seconds == 30 * 86400


def test_what_is_told_of_a_finding_is_its_newest_appearance() -> None:
    milder = replace(hit(), severity=Severity.LOW, message="less may reach it")

    (life,) = lifetimes([snapshot(0, DAYS[0], assessed(hit())), snapshot(1, DAYS[1], assessed(milder))])

    assert (life.finding.severity, life.finding.message) == (Severity.LOW, "less may reach it")


def test_open_ones_come_first_then_undetermined_then_closed_each_worst_first() -> None:
    before = assessed(hit("SEG-001", "a/gone"), hit("NET-001", "a/unknown"), hit("SEG-001", "a/low", Severity.LOW))
    after = assessed(
        hit("SEG-001", "a/low", Severity.LOW), hit("SEG-001", "a/worst", Severity.CRITICAL), partial=["NET-001"]
    )

    found = lifetimes([snapshot(0, DAYS[0], before), snapshot(1, DAYS[1], after)])

    assert [life.finding.subject.name for life in found] == ["worst", "low", "unknown", "gone"]


def test_a_report_counts_findings_and_controls_as_they_are_listed() -> None:
    found = hit(policy=collected())
    view = build_view(
        inputs(
            snapshot(1, DAYS[0], assessed(found, hit("NET-001", "web/app", Severity.LOW))),
            snapshot(2, DAYS[1], assessed(found)),
            results=results({"1.3.1": Verdict.REFUTED, "1.2.5": Verdict.NOT_DETERMINED}, c1_3_1=[found.fingerprint]),
        )
    )

    assert view.summary.verdicts["refuted"] == view.summary.verdicts["not determined"] == 1
    assert sum(view.summary.verdicts.values()) == len(view.controls)
    assert view.summary.open_findings == {"critical": 0, "high": 1, "medium": 0, "low": 0, "info": 0}
    assert (view.summary.closed_findings, view.summary.undetermined_findings) == (1, 0)
    assert view.summary.worst_controls == ("1.3.1",)
    assert view.summary.worst_findings == (found.fingerprint,)
    assert view.findings[0].refutes == ("1.3.1",)


def test_evidence_names_the_file_that_holds_the_object_and_none_for_kinds_that_are_not_in_the_pack() -> None:
    view = build_view(
        inputs(
            snapshot(1, DAYS[0], assessed(hit(policy=collected()), hit("NET-001", policy=collected("x", kind="Pod"))))
        )
    )
    inside, outside = (
        finding.evidence[0] for finding in sorted(view.findings, key=lambda one: one.rule_id == "NET-001")
    )

    assert inside.file == view.policies[0].file
    assert inside.digest == view.policies[0].digest
    assert outside.file == ""


@pytest.mark.parametrize(
    ("changes", "state", "shown"),
    [
        ({}, WaiverState.IN_FORCE, "W-1"),
        ({"expires": date(2026, 9, 30)}, WaiverState.IN_FORCE, "W-1"),
        ({"expires": date(2026, 9, 29)}, WaiverState.EXPIRED, ""),
        ({"subject": "Workload pay/other"}, WaiverState.UNUSED, ""),
        ({"rule_id": "NET-001"}, WaiverState.UNUSED, ""),
    ],
)
def test_a_waiver_is_always_printed_and_changes_no_result(
    changes: dict[str, object], state: WaiverState, shown: str
) -> None:
    declared = intent(waivers=(waiver(**changes),))
    refuted = results({"1.3.1": Verdict.REFUTED}, c1_3_1=[hit().fingerprint])

    view = build_view(inputs(snapshot(1, DAYS[0], assessed(hit())), declared=declared, results=refuted))

    assert [one.state for one in view.waivers] == [state]
    assert view.findings[0].waiver == shown
    assert view.findings[0].state is FindingState.OPEN
    assert view.summary.accepted_findings == bool(shown)
    assert view.summary.verdicts["refuted"] == 1


def test_reviews_are_listed_with_whether_they_fall_into_the_period() -> None:
    days = (date(2026, 6, 30), date(2026, 7, 1), date(2026, 9, 30), date(2026, 10, 1))

    view = build_view(inputs(declared=intent(reviews=tuple(review(day) for day in days))))

    assert [one.in_period for one in view.reviews] == [False, True, True, False]


def test_a_period_without_a_snapshot_is_no_report() -> None:
    with pytest.raises(ReportError, match=r"cluster prod: no snapshot was taken from 2026-07-01 to 2026-09-30"):
        build_view(replace(inputs(), snapshots=()))
