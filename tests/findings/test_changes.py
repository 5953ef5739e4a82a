"""Findings that come and go, and those of which nobody can say that they did."""

from evidence.findings.changes import finding_changes
from evidence.findings.finding import Finding, Severity, Subject
from evidence.findings.registry import Assessment, RuleRun, RunStatus

RAN = RuleRun("NET-001", RunStatus.RAN, 1)
PART = RuleRun("NET-001", RunStatus.PARTIAL, 1, "read in part only: Pod")
NOT_RUN = RuleRun("NET-001", RunStatus.NOT_RUN, 0, "could not be read: Pod")


def finding(name: str, severity: Severity = Severity.MEDIUM, message: str = "open") -> Finding:
    return Finding("NET-001", severity, Subject("Workload", "shop", name), message)


def test_one_that_is_on_both_sides_is_no_change_whatever_it_says() -> None:
    before, after = (Assessment((finding("a", message=text),), (RAN,)) for text in ("2 days", "3 days"))
    assert finding_changes(before, after) == ()


def test_those_that_came_stand_before_those_that_went_the_worst_first() -> None:
    before = Assessment((finding("old"),), (RAN,))
    after = Assessment((finding("low", Severity.LOW), finding("high", Severity.HIGH)), (RAN,))
    found = finding_changes(before, after)
    assert [(change.finding.subject.name, change.came, change.doubt) for change in found] == [
        ("high", True, ""),
        ("low", True, ""),
        ("old", False, ""),
    ]


def test_a_rule_that_did_not_look_at_everything_leaves_a_doubt() -> None:
    hit, clean = Assessment((finding("a"),), (RAN,)), Assessment((), (PART,))
    (came,) = finding_changes(clean, hit)
    assert came.doubt == "may have been there before: the rule ran in part (read in part only: Pod)"
    (went,) = finding_changes(hit, Assessment((), (NOT_RUN,)))
    assert went.doubt == "may still be there: the rule did not run (could not be read: Pod)"


def test_the_side_that_hit_may_have_looked_in_part() -> None:
    (came,) = finding_changes(Assessment((), (RAN,)), Assessment((finding("a"),), (PART,)))
    assert came.doubt == ""
