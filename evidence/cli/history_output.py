"""How `evidence history` writes: a table for people, JSON (evidence/pipeline/history.schema.json) for machines."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import click

from evidence.cli.json_output import write_json
from evidence.cli.terminal import columns, line, wrapped
from evidence.findings.finding import Finding, count
from evidence.findings.registry import RULES
from evidence.findings.spells import History, Spell, SpellState
from evidence.frameworks.course import Course
from evidence.frameworks.coverage import Uncovered
from evidence.frameworks.model import Verdict
from evidence.pipeline import Timeline
from evidence.pipeline.timeline import ControlHistory, Counts, FrameworkHistory, Moment
from evidence.store import RunRecord

INDENT = 18  # the time and two spaces
SHOWN_SPELLS = 3
VERDICTS = frozenset({Verdict.REFUTED, Verdict.NOT_DETERMINED, Verdict.SUPPORTED})


def write(found: Timeline, output: str) -> None:
    if output == "json":
        write_json(document(found))
    else:
        for text in table(found):
            click.echo(text)


def table(found: Timeline) -> Iterator[str]:
    """The period and its coverage, then what happened in the order of time, then findings, open ones first."""
    width = columns()
    kept = f", {count(found.kept, 'kept assessment')}" if found.kept else ""
    yield line(
        f"{found.cluster}, {_time(found.start)} to {_time(found.end)} UTC: {count(found.snapshots, 'snapshot')}, "
        f"{count(found.evaluated, 'state')} evaluated{kept}"
    )
    yield wrapped(_covered(found), width, 2)
    yield ""
    for at, text in _events(found):
        yield wrapped(f"{_time(at)}  {text}", width, INDENT)
    yield ""
    states = [history.state for history in found.findings]
    counted = ", ".join(f"{states.count(state)} {state.value}" for state in SpellState if state in states)
    yield f"Findings: {counted or 'none'}"
    for history in found.findings:
        yield from _finding_lines(history, found.until, width)
    for framework in found.frameworks:
        yield ""
        yield from _control_lines(framework)


def _events(found: Timeline) -> list[tuple[datetime, str]]:
    """Every line of the timeline; those of one time in the order: gap, failed run, snapshot."""
    events = [(gap.start, 0, f"gap of {_long(gap.length)}, until {_time(gap.end)}") for gap in found.coverage.gaps]
    events += [(found.gone.first_taken_at, 0, f"! {found.gone}")] if found.gone else []
    events += [(run.started_at, 1, f"a run failed: {run.message}") for run in found.failed]
    for moment in found.moments:
        events += [(moment.info.taken_at, 2, text) for text in _moment_lines(moment)]
    return [(at, text) for at, _, text in sorted(events, key=lambda event: event[:2])]


def _moment_lines(moment: Moment) -> Iterator[str]:
    claimed = ", time as claimed" if moment.info.taken_at_claimed else ""
    spooled = f", spooled until {_time(moment.info.received_at)}" if moment.info.spooled else ""
    partial = ", partial" if moment.info.partial else ""
    said = [f"objects {_changes(moment.objects)}"] if _any(moment.objects) else []
    said += [f"policies {_changes(moment.policies)}"] if _any(moment.policies) else []
    said += ["another intent file"] if moment.intent_changed else []
    if moment.first:
        said = [
            f"the first one: {count(moment.info.object_count, 'object')}, {count(moment.policy_count, 'policy', 'policies')}"
        ]
    yield f"snapshot {moment.info.id}{claimed}{spooled}{partial}: {', '.join(said) or 'no object changed'}"
    for remark in moment.remarks:
        yield f"! {remark}"
    turn = moment.turn
    for word, findings in (("opened", turn.opened), ("closed", turn.closed), ("not determined", turn.lost)):
        for name, number in Counter(_name(finding) for finding in findings).items():
            yield f"{word}: {name}" + (f" ({number} findings)" if number > 1 else "")


def _any(counts: Counts) -> bool:
    return bool(counts.added or counts.removed or counts.changed)


def _changes(counts: Counts) -> str:
    return f"+{counts.added} -{counts.removed} ~{counts.changed}"


def _name(finding: Finding) -> str:
    return f"{finding.severity.value} {finding.rule_id} {finding.subject}"


def _finding_lines(history: History, until: datetime, width: int) -> Iterator[str]:
    yield wrapped(f"{history.state.value:14} {_name(history.finding)}: {_long(history.open_for(until))}", width, 15)
    shown = "; ".join(_spell_text(spell) for spell in history.spells[-SHOWN_SPELLS:])
    more = len(history.spells) - SHOWN_SPELLS
    yield wrapped(f"{' ' * 15}{f'{more} times before, then ' if more > 0 else ''}{shown}", width, 15)


def _control_lines(found: FrameworkHistory) -> Iterator[str]:
    """Controls that got a verdict in any snapshot; the others are counted."""
    judged = [one for one in found.controls if any(each.verdict in VERDICTS for each in one.course.stretches)]
    title = " ".join(filter(None, (found.framework.title, found.framework.version, found.baseline)))
    yield line(f"{title}: {len(judged)} of {count(len(found.controls), 'control')} got a verdict")
    if not judged:
        return
    width = max(len("control"), *(len(one.control.id) for one in judged))
    yield f"{'control':{width}}  {'period':14}  {'at the start':14}  {'at the end':14}  at its worst"
    for one in judged:
        verdicts = "  ".join(
            f"{verdict.value:14}" for verdict in (one.result.verdict, one.course.start, one.course.end)
        )
        yield line(f"{one.control.id:{width}}  {verdicts}  {_worst_text(one.course)}")


def _worst_text(course: Course) -> str:
    """ "supported throughout", "refuted for 3 h 10 min, from 2026-07-01 06:00"; of several times all together, with the last of them."""
    worst = course.worst
    verdict = worst[0].verdict.value
    if len(course.stretches) == 1:
        return f"{verdict} throughout"
    if not course.worst_for:
        return f"{verdict} in the last snapshot, {_time(worst[0].start)}"
    again = f", {len(worst)} times, the last from {_time(worst[-1].start)}" if len(worst) > 1 else ""
    return f"{verdict} for {_long(course.worst_for)}, from {_time(worst[0].start)}{again}"


def _spell_text(spell: Spell) -> str:
    since = f"{_time(spell.opened_at)} or before" if spell.since_before else _time(spell.opened_at)
    match spell.state:
        case SpellState.CLOSED:
            assert spell.ended_at is not None  # noqa: S101  (closed ones have an end)
            return f"{since} to {_time(spell.ended_at)}"
        case SpellState.NOT_DETERMINED:
            return f"since {since}; not determined since it was last seen {_time(spell.last_seen)}"
        case SpellState.OPEN:
            return f"since {since}"


def _covered(found: Timeline) -> str:
    share = math.floor(found.coverage.share * 1000) / 10  # down, so that 100 % has no gap
    text = f"covered: {share} % of the time until {_time(found.covered_until)}, a snapshot being due every {_long(found.expected_every)}"
    longest = found.coverage.longest
    if longest is None:
        return f"{text}; no gap"
    gaps = count(len(found.coverage.gaps), "gap")
    return f"{text}; {gaps}, the longest {_long(longest.length)} from {_time(longest.start)} to {_time(longest.end)}"


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _long(span: timedelta) -> str:
    """ "12 d 3 h", "3 h", "5 min": the two largest units."""
    minutes = int(span.total_seconds() // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    said = [f"{number} {unit}" for number, unit in parts if number]
    return " ".join(said[:2]) or f"{int(span.total_seconds())} s"


# -- JSON -------------------------------------------------------------------------------------------------------------


def document(found: Timeline) -> dict[str, Any]:
    """The whole timeline for JSON."""
    longest = found.coverage.longest
    return {
        "cluster": found.cluster,
        "period": {"start": found.start.isoformat(), "end": found.end.isoformat()},
        "snapshots": found.snapshots,
        "states_evaluated": found.evaluated,
        "assessments_kept": found.kept,
        "pruned": {
            "snapshots": len(found.gone.numbers),
            "first_taken_at": found.gone.first_taken_at.isoformat(),
            "last_taken_at": found.gone.last_taken_at.isoformat(),
            "pruned_at": found.gone.pruned_at.isoformat(),
        }
        if found.gone
        else None,
        "coverage": {
            "until": found.covered_until.isoformat(),
            "expected_every_seconds": found.expected_every.total_seconds(),
            "share": found.coverage.share,
            "gaps": [_gap(gap) for gap in found.coverage.gaps],
            "longest_gap": _gap(longest) if longest else None,
        },
        "changes": [_moment(moment) for moment in found.moments],
        "failed_runs": [_run(run) for run in found.failed],
        "findings": [_history(history, found.until) for history in found.findings],
        "frameworks": [_framework(framework) for framework in found.frameworks],
    }


def _gap(gap: Uncovered) -> dict[str, Any]:
    seconds = gap.length.total_seconds()
    return {"start": gap.start.isoformat(), "end": gap.end.isoformat(), "seconds": seconds}


def _moment(moment: Moment) -> dict[str, Any]:
    info, turn = moment.info, moment.turn
    return {
        "snapshot": info.id,
        "taken_at": info.taken_at.isoformat(),
        "taken_at_claimed": info.taken_at_claimed,
        "spooled": info.spooled,
        "partial": info.partial,
        "first": moment.first,
        "object_count": info.object_count,
        "policy_count": moment.policy_count,
        "objects": _number(moment.objects),
        "policies": _number(moment.policies),
        "intent_changed": moment.intent_changed,
        "opened": [_reference(finding) for finding in turn.opened],
        "closed": [_reference(finding) for finding in turn.closed],
        "not_determined": [_reference(finding) for finding in turn.lost],
        "remarks": list(moment.remarks),
    }


def _number(counts: Counts) -> dict[str, int]:
    return {"added": counts.added, "removed": counts.removed, "changed": counts.changed}


def _reference(finding: Finding) -> dict[str, str]:
    return {"fingerprint": finding.fingerprint, "rule": finding.rule_id, "subject": str(finding.subject)}


def _run(run: RunRecord) -> dict[str, str]:
    return {
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat(),
        "message": run.message,
        "command": run.run.command,
    }


def _history(history: History, until: datetime) -> dict[str, Any]:
    finding = history.finding
    return {
        **_reference(finding),
        "title": RULES[finding.rule_id].title,
        "severity": finding.severity.value,
        "zones": list(finding.zones),
        "message": finding.message,
        "state": history.state.value,
        "open_seconds": history.open_for(until).total_seconds(),
        "spells": [
            {
                "opened_at": spell.opened_at.isoformat(),
                "since_before": spell.since_before,
                "last_seen": spell.last_seen.isoformat(),
                "state": spell.state.value,
                "ended_at": spell.ended_at.isoformat() if spell.ended_at else None,
                "open_seconds": spell.length(until).total_seconds(),
            }
            for spell in history.spells
        ],
    }


def _framework(found: FrameworkHistory) -> dict[str, Any]:
    return {
        "id": found.framework.id,
        "title": found.framework.title,
        "version": found.framework.version,
        "baseline": found.baseline,
        "controls": [_control(one) for one in found.controls],
    }


def _control(found: ControlHistory) -> dict[str, Any]:
    result, course = found.result, found.course
    return {
        "id": found.control.id,
        "title": found.control.title,
        "verdict": result.verdict.value,
        "strength": result.strength.value if result.strength else None,
        "reasons": list(result.reasons),
        "findings": list(result.findings),
        "at_start": course.start.value,
        "at_end": course.end.value,
        "at_worst": course.worst[0].verdict.value,
        "worst_seconds": course.worst_for.total_seconds(),
        "stretches": [
            {"verdict": each.verdict.value, "start": each.start.isoformat(), "end": each.end.isoformat()}
            for each in course.stretches
        ],
    }
