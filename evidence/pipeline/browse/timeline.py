"""A period of a cluster's history, as `evidence history` tells it."""

from dataclasses import dataclass
from datetime import datetime

from evidence.findings.finding import Finding, Severity
from evidence.findings.registry import RULES
from evidence.findings.spells import History, Spell, SpellState
from evidence.frameworks.model import Verdict
from evidence.pipeline.browse.paging import Paging, page_of
from evidence.pipeline.browse.snapshots import SnapshotRow, snapshot_row
from evidence.pipeline.retention import Gone
from evidence.pipeline.timeline import ControlHistory, Counts, FrameworkHistory, Moment, Timeline


@dataclass(frozen=True, slots=True)
class GapView:
    """A stretch of the period for which no snapshot vouches."""

    start: datetime
    end: datetime
    seconds: float


@dataclass(frozen=True, slots=True)
class ObjectCounts:
    """Objects by what became of them since the snapshot before."""

    added: int
    removed: int
    changed: int


@dataclass(frozen=True, slots=True)
class FindingName:
    """A finding by its fingerprint, with what names it to a person."""

    fingerprint: str
    rule_id: str
    title: str
    severity: Severity
    subject: str


@dataclass(frozen=True, slots=True)
class ChangeView:
    """A snapshot at which something changed. `first`: the first one of the period, which changed nothing. `not_determined` are findings that
    may be gone, but their rule could not look at everything."""

    snapshot: SnapshotRow
    first: bool
    objects: ObjectCounts
    policies: ObjectCounts
    policy_count: int
    intent_changed: bool
    opened: tuple[FindingName, ...]
    closed: tuple[FindingName, ...]
    not_determined: tuple[FindingName, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FailedRunView:
    """A run of the collector that left no snapshot."""

    started_at: datetime
    finished_at: datetime
    message: str


@dataclass(frozen=True, slots=True)
class SpellView:
    """One stretch in which a finding was open. `since_before`: nobody can say that it was not open before."""

    opened_at: datetime
    since_before: bool
    ended_at: datetime | None
    open_seconds: float


@dataclass(frozen=True, slots=True)
class FindingHistory:
    """A finding over the period; `state` is that at its end."""

    finding: FindingName
    state: SpellState
    open_seconds: float
    spells: tuple[SpellView, ...]


@dataclass(frozen=True, slots=True)
class ControlCourse:
    """A control over the period: `verdict` as a report of the period gives it, by its worst moment and the coverage; and the verdicts of the first
    snapshot, of the worst ones (first at `worst_from`, for `worst_seconds` in all) and of the last one."""

    id: str
    title: str
    verdict: Verdict
    reasons: tuple[str, ...]
    start: Verdict
    worst: Verdict
    worst_from: datetime
    worst_seconds: float
    end: Verdict


@dataclass(frozen=True, slots=True)
class FrameworkCourse:
    """All controls of a framework, in its order; `baseline` is "" for none."""

    framework: str
    title: str
    baseline: str
    controls: tuple[ControlCourse, ...]


@dataclass(frozen=True, slots=True)
class TimelineView:
    """A period of one cluster. `pruned` says which of its snapshots are not told of, because retention dropped their content; "" for none.
    `share` of the time from `start` to `covered_until` is covered, from 0 to 1. `changes` and `failed_runs` are newest first, `findings` open
    ones first; `paging` is that of the findings. `frameworks` is the one that was asked for."""

    cluster: str
    start: datetime
    end: datetime
    covered_until: datetime
    expected_every_seconds: float
    snapshots: int
    pruned: str
    share: float
    gaps: tuple[GapView, ...]
    failed_runs: tuple[FailedRunView, ...]
    changes: tuple[ChangeView, ...]
    frameworks: tuple[FrameworkCourse, ...]
    findings: tuple[FindingHistory, ...]
    paging: Paging


def timeline_view(found: Timeline, gone: Gone | None, page: int) -> TimelineView:
    """`gone` as `gone_in` gives it for the same period. Raises UsageError for a page beyond the last one."""
    histories, where = page_of(found.findings, page)
    return TimelineView(
        cluster=found.cluster,
        start=found.start,
        end=found.end,
        covered_until=found.covered_until,
        expected_every_seconds=found.expected_every.total_seconds(),
        snapshots=found.snapshots,
        pruned=str(gone) if gone else "",
        share=found.coverage.share,
        gaps=tuple(GapView(gap.start, gap.end, (gap.end - gap.start).total_seconds()) for gap in found.coverage.gaps),
        failed_runs=tuple(
            FailedRunView(run.started_at, run.finished_at, run.message) for run in reversed(found.failed)
        ),
        changes=tuple(_change(moment) for moment in reversed(found.moments)),
        frameworks=tuple(_framework(each) for each in found.frameworks),
        findings=tuple(_history(history, found.until) for history in histories),
        paging=where,
    )


def _change(moment: Moment) -> ChangeView:
    return ChangeView(
        snapshot=snapshot_row(moment.info),
        first=moment.first,
        objects=_counts(moment.objects),
        policies=_counts(moment.policies),
        policy_count=moment.policy_count,
        intent_changed=moment.intent_changed,
        opened=tuple(map(_name, moment.turn.opened)),
        closed=tuple(map(_name, moment.turn.closed)),
        not_determined=tuple(map(_name, moment.turn.lost)),
        remarks=moment.remarks,
    )


def _framework(found: FrameworkHistory) -> FrameworkCourse:
    framework = found.framework
    controls = tuple(_control(each) for each in found.controls)
    return FrameworkCourse(framework.short, f"{framework.title} {framework.version}", found.baseline, controls)


def _control(found: ControlHistory) -> ControlCourse:
    course = found.course
    return ControlCourse(
        id=found.control.id,
        title=found.control.title,
        verdict=found.result.verdict,
        reasons=found.result.reasons,
        start=course.start,
        worst=course.worst[0].verdict,
        worst_from=course.worst[0].start,
        worst_seconds=course.worst_for.total_seconds(),
        end=course.end,
    )


def _counts(counts: Counts) -> ObjectCounts:
    return ObjectCounts(counts.added, counts.removed, counts.changed)


def _name(finding: Finding) -> FindingName:
    title = RULES[finding.rule_id].title
    return FindingName(finding.fingerprint, finding.rule_id, title, finding.severity, str(finding.subject))


def _history(history: History, until: datetime) -> FindingHistory:
    return FindingHistory(
        finding=_name(history.finding),
        state=history.state,
        open_seconds=history.open_for(until).total_seconds(),
        spells=tuple(_spell(spell, until) for spell in history.spells),
    )


def _spell(spell: Spell, until: datetime) -> SpellView:
    return SpellView(spell.opened_at, spell.since_before, spell.ended_at, spell.length(until).total_seconds())
