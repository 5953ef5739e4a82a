"""Answers kept in the store, as records of kind "assessment".

1. A record is of one snapshot, at its time; its `configuration_digest` is that of the software that assessed (software.py), which its document names,
   too. Another version of any rule is other software: nothing is ever taken from it.
2. Its document names the state that was assessed (`state_digest`), the day, and what records told of that time (`Records.told`), and says how the
   answer differs from that of the record before. The first one of a month (UTC) says all, so that a period costs its own months.
3. One record follows another of its month, not later than itself, by the digest of that one's document. Where that one is not there any more (a
   prune dropped it) it is passed over, and its snapshot is assessed again.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from evidence.canonical import object_digest
from evidence.cni.model import Enforcement
from evidence.errors import StoreError
from evidence.findings.finding import Finding, Severity, Subject
from evidence.findings.registry import Assessment, RuleRun, RunStatus
from evidence.frameworks.facts import Agreement, Ground
from evidence.intent.model import Classification
from evidence.intent.zones import ZoneProblem
from evidence.pipeline.answers import Answer, Policies
from evidence.pipeline.asking import Key

if TYPE_CHECKING:
    from evidence.store import NewRecord, RunInfo, SnapshotOutline, Store, StoredRecord

FORMAT = "evidence/assessment/v1"
_PLACE = attrgetter("place")
FIRST = ""  # in place of a document's digest


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer as kept; `digest` is its document's, `at` the time of its snapshot."""

    key: Key
    at: datetime
    digest: str
    answer: Answer


def kept_answers(
    store: "Store", cluster: str, period: tuple[datetime, datetime], software: str
) -> Iterator[KeptAnswer]:
    """Those of the months (UTC) of a period, as far as what they follow is there, in the order of time."""
    start, end = period
    read: dict[str, Answer] = {}  # by the digest of the document
    for record in store.assessments(cluster, month_of(start), end, software):
        key, follows = _named(record)
        if follows == FIRST or follows in read:
            info = record.info
            answer = read[info.document_digest] = read_answer(record, read.get(follows))
            yield KeptAnswer(key, info.starts_at, info.document_digest, answer)


def month_of(moment: datetime) -> datetime:
    """The beginning of its month (UTC)."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def new_records(
    outlines: "Sequence[SnapshotOutline]",
    keys: Mapping[int, Key],
    kept: Sequence[KeptAnswer],
    answers: Mapping[int, Answer],
    now: datetime,
    run: "RunInfo",
) -> "Iterator[NewRecord]":
    """What is still to be kept of one month. `outlines`: its snapshots that are asked, with their `keys`; `kept`: as `kept_answers` gives them;
    `answers`: of all outlines, by their number; `now`: when they are kept."""
    from evidence.store import NewRecord, RecordKind

    before: KeptAnswer | None = None
    there = {each.key: each for each in reversed(kept)}  # of several the first
    for outline in outlines:
        key, info = keys[outline.info.id], outline.info
        if key not in there or there[key].at > info.taken_at:
            document = document_of(key, answers[info.id], before, run.configuration_digest)
            there[key] = KeptAnswer(key, info.taken_at, object_digest(document), answers[info.id])
            yield NewRecord(info.cluster, RecordKind.ASSESSMENT, info.taken_at, info.taken_at, now, document, run)
        before = there[key]


# -- documents --------------------------------------------------------------------------------------------------------


def document_of(key: Key, answer: Answer, before: KeptAnswer | None, software: str) -> dict[str, Any]:
    """The document of an answer that follows another one; None: it says all."""
    base = before.answer if before else None
    found: dict[str, Any] = {
        "format": FORMAT,
        "software": software,
        "state": key[0],
        "day": key[1].isoformat(),
        "told": key[2],
        "before": before.digest if before else FIRST,
    }
    if base is answer:
        return found
    old = {each.place: each for each in base.assessment.findings} if base else {}
    new = {each.place: each for each in answer.assessment.findings}
    runs = {run.rule_id: run for run in base.assessment.runs} if base else {}
    found |= {
        "findings": [_finding(each) for place, each in new.items() if old.get(place) != each],
        "closed": [[rule, list(subject), told] for rule, subject, told in old if (rule, subject, told) not in new],
        "runs": [_run(run) for run in answer.assessment.runs if runs.get(run.rule_id) != run],
        "facts": _facts(answer) if base is None or _facts(base) != _facts(answer) else {},
    }
    return {name: value for name, value in found.items() if value or name == "before"}


def read_answer(record: "StoredRecord", base: Answer | None) -> Answer:
    """The answer that a record holds. `base`: that of the record before, None when this one says all; what is the same is shared with it.

    Raises StoreError for a document that this version did not write.
    """
    document = record.document
    try:
        facts, findings = document.get("facts"), base.assessment.findings if base else ()
        runs: Sequence[RuleRun] = base.assessment.runs if base else ()
        if document.get("findings") or document.get("closed"):
            findings = _with_changes(findings, document.get("closed", ()), document.get("findings", ()))
        if document.get("runs"):
            ran = {run.rule_id: run for run in runs} | {run.rule_id: run for run in map(_read_run, document["runs"])}
            runs = tuple(ran[name] for name in sorted(ran))
        if base and not facts:
            if findings is base.assessment.findings and runs is base.assessment.runs:
                return base
            return replace(base, assessment=Assessment(findings, tuple(runs)))
        return _read_facts(facts, Assessment(findings, tuple(runs)))
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise _unreadable(record, error) from error


def _with_changes(
    findings: Sequence[Finding], closed: Sequence[Any], changed: Sequence[Mapping[str, Any]]
) -> tuple[Finding, ...]:
    """Findings, as sorted as they are, without those that closed, and with those that opened or read otherwise."""
    new = [_read_finding(each) for each in changed]
    if not findings:
        return tuple(sorted(new, key=_PLACE))
    found = list(findings)
    for place in [(rule, Subject(*subject), told) for rule, subject, told in closed]:
        at = bisect_left(found, place, key=_PLACE)
        if found[at].place != place:
            raise ValueError(f"closes {place}, which was not open")
        del found[at]
    for finding in new:
        at = bisect_left(found, finding.place, key=_PLACE)
        same = at < len(found) and found[at].place == finding.place
        found[at : at + same] = [finding]
    return tuple(found)


def _named(record: "StoredRecord") -> tuple[Key, str]:
    """The key of a record's answer, and what it follows."""
    document = record.document
    try:
        if document["format"] != FORMAT:
            raise ValueError(document["format"])
        return (document["state"], date.fromisoformat(document["day"]), document.get("told", "")), document["before"]
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(record, error) from error


def _unreadable(record: "StoredRecord", error: Exception) -> StoreError:
    return StoreError(
        f"record {record.info.id} is no assessment that this version reads ({error!r}); `evidence history --afresh` does without"
    )


def _finding(finding: Finding) -> dict[str, Any]:
    subject = finding.subject
    return {
        "rule": finding.rule_id,
        "severity": finding.severity.value,
        "subject": [subject.kind, subject.namespace, subject.name],
        "message": finding.message,
        "suggestion": finding.suggestion,
        "zones": list(finding.zones),
        "classifications": sorted(each.value for each in finding.classifications),
        "discriminator": finding.discriminator,
    }


def _read_finding(found: Mapping[str, Any]) -> Finding:
    return Finding(
        rule_id=found["rule"],
        severity=Severity(found["severity"]),
        subject=Subject(*found["subject"]),
        message=found["message"],
        suggestion=found["suggestion"],
        zones=tuple(found["zones"]),
        classifications=frozenset(map(Classification, found["classifications"])),
        discriminator=found["discriminator"],
    )


def _run(run: RuleRun) -> list[Any]:
    return [run.rule_id, run.status.value, run.population, run.reason]


def _read_run(found: Sequence[Any]) -> RuleRun:
    rule_id, status, population, reason = found
    return RuleRun(rule_id, RunStatus(status), population, reason)


def _facts(answer: Answer) -> dict[str, Any]:
    ground = answer.ground
    return {
        "enforcement": ground.enforcement.value,
        "enforcement_reasons": list(ground.enforcement_reasons),
        "populated": ground.populated,
        "unassigned": ground.unassigned,
        "peopled": sorted(each.value for each in ground.peopled),
        "outside_undeclared": list(ground.outside_undeclared),
        "doubts": [[list(doubt.zones), doubt.message] for doubt in ground.doubts],
        "unevaluated": list(answer.unevaluated),
        "unseen": list(answer.unseen),
        "policies": answer.policies.count,
        "policy_kinds": sorted(list(kind) for kind in answer.policies.kinds),
        "agreements": [
            [seen.source, seen.denied, sorted(zone.value for zone in seen.zones)] for seen in answer.agreements
        ],
    }


def _read_facts(found: Mapping[str, Any], assessment: Assessment) -> Answer:
    return Answer(
        assessment=assessment,
        ground=Ground(
            enforcement=Enforcement(found["enforcement"]),
            enforcement_reasons=tuple(found["enforcement_reasons"]),
            populated=found["populated"],
            unassigned=found["unassigned"],
            peopled=frozenset(map(Classification, found["peopled"])),
            outside_undeclared=tuple(found["outside_undeclared"]),
            doubts=tuple(ZoneProblem(tuple(zones), message) for zones, message in found["doubts"]),
        ),
        unevaluated=tuple(found["unevaluated"]),
        unseen=tuple(found["unseen"]),
        policies=Policies(found["policies"], frozenset((group, kind) for group, kind in found["policy_kinds"])),
        agreements=tuple(
            Agreement(source, denied, frozenset(map(Classification, zones)))
            for source, denied, zones in found["agreements"]
        ),
    )
