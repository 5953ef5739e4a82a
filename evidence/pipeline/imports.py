"""Logs into the store: flow logs of network plugins, and the API server's audit log. Each import is one record, whole or not at all."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO

from evidence.errors import InputError, UsageError
from evidence.pipeline.retention import gone_in
from evidence.pipeline.sources import run_info
from evidence.pipeline.states import only_cluster

if TYPE_CHECKING:
    from evidence.cluster.model import Pod
    from evidence.collect.flowlogs.read import LogFile as ReadFile
    from evidence.observe.audit import AuditedChange, AuditLog
    from evidence.observe.document import FlowLog, LogFile
    from evidence.observe.places import Places
    from evidence.store import RecordInfo, Store

FORMATS = ("hubble", "calico", "netfilter", "ovn", "aws-vpc-cni", "antrea")
MOST_CHANGES = 200_000


@dataclass(frozen=True, slots=True)
class ImportedFlows:
    info: "RecordInfo"
    log: "FlowLog"


@dataclass(frozen=True, slots=True)
class ImportedAudit:
    info: "RecordInfo"
    log: "AuditLog"


def import_flows(
    db: str,
    paths: Sequence[str],
    *,
    format_name: str,
    cluster: str | None,
    stdin: BinaryIO,
    taken_in_at: datetime,
    keep_going: bool,
    allowed_prefixes: Sequence[str] = (),
    denied_prefixes: Sequence[str] = (),
    command: str = "import flows",
) -> ImportedFlows:
    """Read a flow log, place its addresses by the snapshots of the store, and store it as one record.

    Raises InputError for lines that cannot be read (unless `keep_going`) and for a log that says nothing of any connection.
    """
    from evidence.collect.flowlogs.formats import formats
    from evidence.collect.flowlogs.read import read_logs
    from evidence.observe.document import FlowLog, flow_log_json
    from evidence.observe.gather import Gathering
    from evidence.store import NewRecord, RecordKind, Store

    chosen = formats(taken_in_at, allowed_prefixes, denied_prefixes)[format_name]
    with Store.open(db) as store:
        name = cluster_of(store, cluster)
        gathering = Gathering(places(store, name))
        files: list[ReadFile] = []
        for line in read_logs(paths, chosen.read, stdin=stdin, keep_going=keep_going, files=files):
            gathering.take(line)
        if gathering.first is None or gathering.last is None:
            raise InputError(_nothing(files, f"no connection in the form of {chosen.title}", gathering.left_out))
        log = FlowLog(
            format=chosen.name,
            title=chosen.title,
            files=_files(files),
            sightings=gathering.sightings,
            left_out=dict(sorted(gathering.left_out.items())),
            lost=dict(sorted(gathering.lost.items())),
            merged=gathering.merged,
            notes=chosen.notes,
            flows=tuple(gathering.flows(chosen.name)),
        )
        info = store.add_record(
            NewRecord(
                cluster=name,
                kind=RecordKind.FLOW_LOG,
                starts_at=gathering.first,
                ends_at=gathering.last,
                taken_in_at=taken_in_at,
                document=flow_log_json(log),
                run=run_info(command, " ".join((format_name, *paths, *allowed_prefixes, *denied_prefixes))),
            )
        )
    return ImportedFlows(info, log)


def import_audit(
    db: str,
    paths: Sequence[str],
    *,
    cluster: str | None,
    stdin: BinaryIO,
    taken_in_at: datetime,
    keep_going: bool,
    command: str = "import audit",
) -> ImportedAudit:
    """Read an API server's audit log and store who changed what as one record. Raises InputError like `import_flows`."""
    from evidence.collect.auditlog import read
    from evidence.collect.flowlogs.read import read_logs
    from evidence.observe.audit import AuditLog, audit_log_json
    from evidence.observe.sighting import LeftOut
    from evidence.store import NewRecord, RecordKind, Store

    with Store.open(db) as store:
        name = cluster_of(store, cluster)
        files: list[ReadFile] = []
        left_out: Counter[str] = Counter()
        changes: list[AuditedChange] = []
        times: list[datetime] = []  # of the first and the last event
        events = 0
        for found in read_logs(paths, read, stdin=stdin, keep_going=keep_going, files=files):
            for at, event in found:
                events += 1
                times = [min(times[0], at), max(times[1], at)] if times else [at, at]
                if isinstance(event, LeftOut):
                    left_out[event.why] += 1
                elif len(changes) < MOST_CHANGES:
                    changes.append(event)
                else:
                    left_out[f"changes beyond the first {MOST_CHANGES}"] += 1
        if not times:
            raise InputError(_nothing(files, "no event of an audit log", left_out))
        changes.sort(key=lambda change: (change.at, change.id))
        log = AuditLog(_files(files), events, dict(sorted(left_out.items())), tuple(changes))
        info = store.add_record(
            NewRecord(
                cluster=name,
                kind=RecordKind.AUDIT_LOG,
                starts_at=times[0],
                ends_at=times[1],
                taken_in_at=taken_in_at,
                document=audit_log_json(log),
                run=run_info(command, " ".join(paths)),
            )
        )
    return ImportedAudit(info, log)


def cluster_of(store: "Store", name: str | None) -> str:
    """The named cluster, or the only one in the store. In a store without any snapshot it may have any name. Raises UsageError."""
    if store.clusters():
        return only_cluster(store, name)
    if name is None:
        raise UsageError("the store holds no snapshot that would say which cluster this is: give --cluster NAME")
    return name


def places(store: "Store", cluster: str) -> "Places":
    """Who had which address, by the cluster's snapshots that no prune dropped; each is read when a line of its time comes."""
    from evidence.cluster.parse import build_cluster
    from evidence.observe.places import Places

    def pods(number: int) -> "Sequence[Pod]":
        return build_cluster(store.read(number).collection).pods

    ever = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    gone = gone_in(store, cluster, ever)
    infos = [info for info in store.snapshots(cluster, *ever) if not gone or info.id not in gone.numbers]
    return Places([(info.taken_at, lambda number=info.id: pods(number)) for info in infos])  # type: ignore[misc]


def _files(files: Sequence["ReadFile"]) -> "tuple[LogFile, ...]":
    from evidence.observe.document import LogFile

    return tuple(LogFile(file.name, file.size, file.sha256, file.lines, file.bad, tuple(file.named)) for file in files)


def _nothing(files: Sequence["ReadFile"], what: str, left_out: Counter[str]) -> str:
    def said() -> Iterator[str]:
        for why, number in left_out.most_common(3):
            yield f"{number} {why}"

    names = ", ".join(file.name for file in files)
    if not any(file.lines for file in files):
        return f"{names}: holds no line; nothing was stored"
    held = f" (only {', '.join(said())})" if left_out else ""
    return f"{names}: holds {what}{held}; nothing was stored; give a log of this form"
