"""Snapshots: a cluster's list, newest first, and one with its population, custody and place in the log. No object is read for either."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from evidence.cluster.objects import Collection, KindStatus
from evidence.errors import NotThereError, UsageError
from evidence.log.entries import EntryKind
from evidence.pipeline.browse.paging import PAGE_SIZE, Paging, paging
from evidence.pipeline.snapshots import shortfalls
from evidence.store import SnapshotHeader, SnapshotInfo, Store

_MOMENT = timedelta(microseconds=1)
_ABSENT = frozenset({KindStatus.NOT_SERVED, KindStatus.NOT_IN_SOURCE})


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A snapshot in a list. `taken_at_claimed`: somebody told the time, the collector did not see it.

    `spooled`: it waited on the collector's disk until the store took it in, at `received_at`.
    """

    id: int
    cluster: str
    taken_at: datetime
    taken_at_claimed: bool
    received_at: datetime
    spooled: bool
    partial: bool
    object_count: int
    root_digest: str


@dataclass(frozen=True, slots=True)
class SnapshotList:
    """One page of a cluster's snapshots, newest first. `clusters` are all that the store holds; `pruned` are the numbers of those on this page
    whose content retention dropped."""

    cluster: str
    clusters: tuple[str, ...]
    snapshots: tuple[SnapshotRow, ...]
    pruned: tuple[int, ...]
    paging: Paging


@dataclass(frozen=True, slots=True)
class KindRow:
    """How the listing of one kind went; `group` is "" for the core API."""

    group: str
    kind: str
    status: KindStatus
    count: int
    message: str


@dataclass(frozen=True, slots=True)
class CustodyView:
    """Who took a snapshot, from where and with what. `source_identity` is the account as the API server names it, `identity` the user of the
    process; digests are SHA-256 in hex, "" where there is nothing to have one."""

    method: str
    location: str
    source_identity: str
    identity: str
    host: str
    command: str
    software_version: str
    configuration_digest: str
    intent_digest: str
    server_version: str
    cluster_uid: str
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class LogPlaceView:
    """Where a snapshot stands in the store's Merkle log: `position` counts from 0, null when it is not there; `size` is the log's."""

    position: int | None
    size: int


@dataclass(frozen=True, slots=True)
class SnapshotView:
    """One snapshot: what was asked for and what came, what is missing from it, who took it, and where it stands in the log.

    `content` is the hash over its objects: two snapshots with the same one hold the same objects. `absent` are kinds that the cluster does
    not serve or of which the files say nothing. `pruned_at`: when retention dropped its objects, null while they are there.
    """

    snapshot: SnapshotRow
    pruned_at: datetime | None
    content: str
    shortfalls: tuple[str, ...]
    kinds: tuple[KindRow, ...]
    absent: tuple[KindRow, ...]
    custody: CustodyView
    log: LogPlaceView


def snapshot_list(store: Store, cluster: str | None, page: int) -> SnapshotList:
    """Raises UsageError when there is no such cluster or page."""
    name = cluster_named(store, cluster)
    total = next(each.snapshots for each in store.describe().clusters if each.name == name)
    where = paging(page, total)
    rows = store.newest(name, PAGE_SIZE, (page - 1) * PAGE_SIZE)
    gone: tuple[int, ...] = ()
    if rows:
        gone = tuple(one.id for one in store.retention.pruned(name, rows[-1].taken_at, rows[0].taken_at + _MOMENT))
    return SnapshotList(name, store.clusters(), tuple(map(snapshot_row, rows)), gone, where)


class WhichCluster(UsageError):  # noqa: N818  (a question)
    """It was not said which of several clusters is meant."""

    def __init__(self, names: tuple[str, ...]) -> None:
        super().__init__(f"the store holds several clusters: give cluster, one of {', '.join(names)}")
        self.names = names


def cluster_named(store: Store, name: str | None) -> str:
    """The named cluster, or the only one. Raises NotThereError, or WhichCluster where there are several and none is named."""
    names = store.clusters()
    if name is None and len(names) == 1:
        return names[0]
    if not names:
        raise NotThereError("the store holds no snapshot yet")
    if name is None:
        raise WhichCluster(names)
    if name not in names:
        raise NotThereError(f"there is no cluster {name!r} in the store")
    return name


def snapshot_row(info: SnapshotInfo) -> SnapshotRow:
    return SnapshotRow(
        info.id,
        info.cluster,
        info.taken_at,
        info.taken_at_claimed,
        info.received_at,
        info.spooled,
        info.partial,
        info.object_count,
        info.root_digest,
    )


def header_of(store: Store, snapshot: int) -> SnapshotHeader:
    """Raises NotThereError when there is none of that number."""
    header = store.header(snapshot)
    if header is None:
        raise NotThereError(f"there is no snapshot {snapshot} in the store")
    return header


def snapshot_view(store: Store, snapshot: int) -> SnapshotView:
    """Raises NotThereError when there is none of that number."""
    header = header_of(store, snapshot)
    info, source, run = header.info, header.source, header.info.run
    place = store.log_place(EntryKind.SNAPSHOT, info.root_digest)
    kinds = [KindRow(kind.group, kind.kind, kind.status, kind.count, kind.message) for kind in header.kinds]
    return SnapshotView(
        snapshot=snapshot_row(info),
        pruned_at=pruned_at(store, info),
        content=header.content,
        shortfalls=missing_from(header),
        kinds=tuple(kind for kind in kinds if kind.status not in _ABSENT),
        absent=tuple(kind for kind in kinds if kind.status in _ABSENT),
        custody=CustodyView(
            method=source.method,
            location=source.location,
            source_identity=source.identity,
            identity=run.identity,
            host=run.host,
            command=run.command,
            software_version=run.software_version,
            configuration_digest=run.configuration_digest,
            intent_digest=info.intent_digest,
            server_version=source.server_version,
            cluster_uid=source.cluster_uid,
            started_at=info.started_at,
            finished_at=info.finished_at,
        ),
        log=LogPlaceView(place.position, place.size),
    )


def pruned_at(store: Store, info: SnapshotInfo) -> datetime | None:
    """When retention dropped the snapshot's objects; None while they are there."""
    found = store.retention.pruned(info.cluster, info.taken_at, info.taken_at + _MOMENT)
    return next((one.pruned_at for one in found if one.id == info.id), None)


def missing_from(header: SnapshotHeader) -> tuple[str, ...]:
    """One sentence for each thing that is known to be missing from a snapshot."""
    return shortfalls(Collection(header.source, (), header.kinds, header.problems))
