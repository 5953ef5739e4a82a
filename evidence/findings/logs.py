"""Family observation: what logs themselves lack. See observation.py for what they say of the policies."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from evidence.cluster.objects import ObjectKey
from evidence.findings.enforcement import THE_CLUSTER
from evidence.findings.finding import EvidenceRef, Severity, Subject, count, shortened
from evidence.findings.registry import AUDIT_LOG, FLOW_LOG, Context, Hit, Looked, rule
from evidence.observe.audit import TakenAudit
from evidence.observe.document import TakenLog
from evidence.observe.model import Outcome
from evidence.observe.seen import Observations

CLOCK_LIMIT = timedelta(seconds=60)  # how far ahead of its import a log's last line may lie
SAME_CHANGE = timedelta(seconds=10)  # between managedFields' time (whole seconds) and the API server's answer


def seen_by(context: Context) -> Observations:
    """What was observed, for rules that need a log."""
    assert context.observed is not None  # noqa: S101  (needs_seen)
    return context.observed


def record_evidence(taken: TakenLog | TakenAudit) -> EvidenceRef:
    """An imported log, by its record's digest and its files."""
    names = shortened([file.name for file in taken.log.files])
    return EvidenceRef(ObjectKey("", "Record", "", str(taken.record)), taken.digest, names)


@rule(
    "LOG-001",
    title="No denial in any log",
    severity=Severity.MEDIUM,
    family="observation",
    why="Denied connections are what an attack looks like from inside, and the sign that the policies are in force. The logs that were taken in do "
    "not hold a single one: nothing was denied, or denials are not logged.",
    mend="Switch the logging of denied connections on where the network plugin can (docs/flow-logs.md names how for each), and import that log.",
    needs=(),
    needs_seen=FLOW_LOG,
)
def no_denials(context: Context) -> Looked:
    """Flow logs of the last 90 days that hold connections, and no denied one. That no log was taken in at all is no finding: the rule does not
    run, because logging may well be on."""
    seen = seen_by(context)
    if any(log.log.connections(Outcome.DENIED) for log in seen.logs):
        return Looked(len(seen.logs), ())
    total = sum(log.log.connections(*Outcome) for log in seen.logs)
    titles = sorted({log.log.title for log in seen.logs})
    message = f"none of {count(total, 'connection')} in {count(len(seen.logs), 'flow log')} ({', '.join(titles)}) is a denied one"
    return Looked(len(seen.logs), (Hit(THE_CLUSTER, message, tuple(map(record_evidence, seen.logs))),))


@rule(
    "LOG-004",
    title="Policy change that the audit log does not have",
    severity=Severity.MEDIUM,
    family="observation",
    why="Who changed a policy is told by the API server's audit log alone. This change lies within the time that an imported audit log covers, "
    "and the log does not have it: the audit policy leaves such writes out, or the log is not whole.",
    mend="Let the audit policy log writes to policies at level Metadata, and collect the logs of all API servers.",
    needs=(),
    needs_seen=AUDIT_LOG,
)
def change_not_audited(context: Context) -> Looked:
    """Policies whose newest change (creation, or an entry of managedFields) lies within an imported audit log's time, with no write to them in any
    log within ten seconds. Removals leave nothing that could be looked at."""
    audits = seen_by(context).audits
    looked, hits = 0, []
    for policy in _policies(context):
        moment, manager = changed_at(policy.origin)
        if moment is None:
            continue
        covering = [taken for taken in audits if taken.starts_at + SAME_CHANGE <= moment <= taken.ends_at - SAME_CHANGE]
        if not covering:
            continue
        looked += 1
        if any(
            change.done and change.about(policy.key) and abs(change.at - moment) <= SAME_CHANGE
            for taken in audits
            for change in taken.log.changes
        ):
            continue
        by = f" by {manager}" if manager else ""
        hits.append(
            Hit(
                Subject(policy.key.kind, policy.key.namespace, policy.key.name),
                f"changed at {moment:%Y-%m-%d %H:%M:%S} UTC{by}, and the audit log of that time has no write to it",
                (EvidenceRef(policy.key, policy.digest), *map(record_evidence, covering)),
            )
        )
    return Looked(looked, tuple(hits))


@rule(
    "LOG-005",
    title="Log's clock is ahead",
    severity=Severity.MEDIUM,
    family="observation",
    why="A line cannot have been written after it was taken in. The clock of the machine that wrote it, or its zone, is wrong, so that its lines "
    "cannot be laid beside those of others.",
    mend="Synchronise the clocks of the nodes, and have logs written with their zone.",
    needs=(),
    needs_seen=FLOW_LOG,
)
def clock_ahead(context: Context) -> Looked:
    """Logs whose last line lies more than a minute after their import. A clock that is slow is not seen here."""
    seen = seen_by(context)
    hits = []
    taken_in: list[TakenLog | TakenAudit] = [*seen.logs, *seen.audits]
    for taken in taken_in:
        ahead = taken.ends_at - taken.taken_in_at
        if ahead > CLOCK_LIMIT:
            names = shortened([file.name for file in taken.log.files])
            message = f"the last line of {names} is of {taken.ends_at:%Y-%m-%d %H:%M:%S} UTC, {int(ahead.total_seconds())} s after it was taken in"
            hits.append(Hit(THE_CLUSTER, message, (record_evidence(taken),), discriminator=taken.digest[:16]))
    return Looked(len(taken_in), tuple(hits))


def _policies(context: Context) -> Iterator[Any]:
    cluster = context.cluster
    yield from cluster.policies
    yield from cluster.cluster_policies
    yield from cluster.calico_policies
    yield from cluster.cilium_policies
    yield from cluster.other_policies


def changed_at(origin: Any) -> tuple[datetime | None, str]:
    """When an object was last changed, but for its status, and by which manager; (None, "") where nothing tells."""
    metadata = origin.body.get("metadata", {}) if origin else {}
    found: list[tuple[datetime, str]] = []
    managed = metadata.get("managedFields")
    entries = [entry for entry in managed if isinstance(entry, Mapping)] if isinstance(managed, list) else []
    for time, manager in (
        (metadata.get("creationTimestamp"), ""),
        *((entry.get("time"), entry.get("manager", "")) for entry in entries if not entry.get("subresource")),
    ):
        try:
            moment = datetime.fromisoformat(time) if isinstance(time, str) else None
        except ValueError:
            moment = None
        if moment is not None:
            found.append((moment if moment.tzinfo else moment.replace(tzinfo=UTC), str(manager)))
    return max(found, default=(None, ""))
