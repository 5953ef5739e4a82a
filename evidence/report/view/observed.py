"""What imported logs show in the period: which they are and what they lack, and the connections in them beside the computation."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from evidence.observe.audit import TakenAudit
from evidence.observe.document import LogFile, TakenLog, covered
from evidence.observe.model import Outcome
from evidence.observe.tie import PASSED, TiedFlow, Verdict
from evidence.report.view.inputs import ReportInputs

_ORDER = (Verdict.CONTRADICTS, Verdict.STOPPED, Verdict.AGREES, Verdict.NOT_DETERMINED)


@dataclass(frozen=True, slots=True)
class LogSource:
    """One imported log. `digest` is its record's in the store; `files` have name, size and SHA-256; `used` counts the lines about connections or
    changes, `left_out` other whole lines by why; `losses` is what is known to be missing from it, `notes` what such a log lacks by its nature."""

    record: int
    digest: str
    kind: str
    title: str
    files: tuple[str, ...]
    starts_at: datetime
    ends_at: datetime
    taken_in_at: datetime
    lines: int
    used: int
    left_out: Mapping[str, int]
    losses: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time that flow logs with allowed connections cover."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class LoggedFlow:
    """Connections between the same ends that ended the same way, with how they stand to the computation and why. `rules` are those that allow
    them, `log_policies` what the log itself names."""

    source: str
    destination: str
    port: str
    outcome: str
    side: str
    connections: int
    first: datetime
    last: datetime
    verdict: str
    reason: str
    rules: tuple[str, ...]
    log_policies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AuditedWrite:
    """One write that an imported audit log holds, done or refused (`code`), by whom and from where; also one that left no difference between
    two snapshots. Never what was written."""

    at: datetime
    actor: str
    groups: tuple[str, ...]
    verb: str
    object: str
    code: int
    source_ips: tuple[str, ...]
    user_agent: str


@dataclass(frozen=True, slots=True)
class ObservedView:
    """`connections` counts by outcome, `verdicts` by how they stand to the computation. `shown` are the flows that disagree with it and those that
    were denied as computed; all are in `flows`, which lies in data/logged_flows.csv. `writes` by audit logs lie in data/audited_writes.csv."""

    sources: tuple[LogSource, ...]
    stretches: tuple[Stretch, ...]
    connections: Mapping[str, int]
    verdicts: Mapping[str, int]
    shown: tuple[LoggedFlow, ...]
    flows: tuple[LoggedFlow, ...] = field(metadata={"outside_json": True})
    writes: tuple[AuditedWrite, ...] = field(metadata={"outside_json": True})


def observed_view(inputs: ReportInputs) -> ObservedView | None:
    """None when no log of the period was imported."""
    if not inputs.logs and not inputs.audits:
        return None
    flows = logged_flows(inputs.logged)
    connections, verdicts = Counter[str](), Counter[str]()
    for flow in flows:
        connections[flow.outcome] += flow.connections
        verdicts[flow.verdict] += flow.connections
    told = (Verdict.CONTRADICTS.value, Verdict.STOPPED.value)
    return ObservedView(
        sources=(*map(_flow_source, inputs.logs), *map(_audit_source, inputs.audits)),
        stretches=tuple(
            Stretch(start, end) for start, end in covered([log for log in inputs.logs if log.log.connections(*PASSED)])
        ),
        connections={outcome.value: connections[outcome.value] for outcome in Outcome},
        verdicts={verdict.value: verdicts[verdict.value] for verdict in Verdict},
        shown=tuple(
            flow
            for flow in flows
            if flow.verdict in told or (flow.verdict, flow.outcome) == (Verdict.AGREES.value, Outcome.DENIED.value)
        ),
        flows=flows,
        writes=audited_writes(inputs),
    )


def audited_writes(inputs: ReportInputs) -> tuple[AuditedWrite, ...]:
    """All of the period, oldest first, each once."""
    found = {
        change.id: change
        for taken in inputs.audits
        for change in taken.log.changes
        if inputs.period_start <= change.at < inputs.period_end
    }
    return tuple(
        AuditedWrite(
            at=change.at,
            actor=change.actor,
            groups=change.groups,
            verb=change.verb,
            object=str(change.object)
            if change.object.name
            else f"every {change.object.kind} of {change.object.namespace}",
            code=change.code,
            source_ips=change.source_ips,
            user_agent=change.user_agent,
        )
        for change in sorted(found.values(), key=lambda change: (change.at, change.id))
    )


def logged_flows(tied: Sequence[TiedFlow]) -> tuple[LoggedFlow, ...]:
    """One row for what is alike but for its day, contradictions first, then the most frequent."""
    groups: dict[tuple[object, ...], list[TiedFlow]] = defaultdict(list)
    for one in tied:
        flow = one.flow
        groups[flow.source, flow.destination, flow.port_text, flow.outcome, flow.side, one.verdict, one.reason].append(
            one
        )
    rows = []
    for found in groups.values():
        first = found[0]
        rows.append(
            LoggedFlow(
                source=str(first.flow.source),
                destination=str(first.flow.destination),
                port=first.flow.port_text,
                outcome=first.flow.outcome.value,
                side=first.flow.side.value,
                connections=sum(one.flow.count for one in found),
                first=min(one.flow.first for one in found),
                last=max(one.flow.last for one in found),
                verdict=first.verdict.value,
                reason=first.reason,
                rules=tuple(map(str, sorted({rule for one in found for rule in one.rules}))),
                log_policies=tuple(sorted({name for one in found for name in one.flow.policies})),
            )
        )
    order = [verdict.value for verdict in _ORDER]
    rows.sort(
        key=lambda row: (
            order.index(row.verdict),
            -row.connections,
            row.source,
            row.destination,
            row.port,
            row.side,
            row.reason,
        )
    )
    return tuple(rows)


def _flow_source(taken: TakenLog) -> LogSource:
    log = taken.log
    return LogSource(
        record=taken.record,
        digest=taken.digest,
        kind="flow log",
        title=log.title,
        files=_files(log.files),
        starts_at=taken.starts_at,
        ends_at=taken.ends_at,
        taken_in_at=taken.taken_in_at,
        lines=log.lines,
        used=log.sightings,
        left_out=log.left_out,
        losses=log.losses,
        notes=log.notes,
    )


def _audit_source(taken: TakenAudit) -> LogSource:
    log = taken.log
    bad = sum(file.bad for file in log.files)
    lines = sum(file.lines for file in log.files)
    return LogSource(
        record=taken.record,
        digest=taken.digest,
        kind="audit log",
        title="Kubernetes API server",
        files=_files(log.files),
        starts_at=taken.starts_at,
        ends_at=taken.ends_at,
        taken_in_at=taken.taken_in_at,
        lines=lines,
        used=len(log.changes),
        left_out=log.left_out,
        losses=(f"{bad} of {lines} lines could not be read",) if bad else (),
        notes=("Only writes that the API server's audit policy has logged are in it.",),
    )


def _files(files: Sequence[LogFile]) -> tuple[str, ...]:
    return tuple(f"{file.name} ({file.size} bytes, SHA-256 {file.sha256})" for file in files)
