"""Writing one snapshot, inside a transaction that somebody else holds.

What every snapshot needs is computed before the transaction begins (`prepare`), so that the lock is held for the few statements that
need it. Content is compared with the last snapshot entered for the cluster: an object that is as it was costs nothing, one that changed or
went closes its interval, one that changed or came opens one and, when its body is not there yet, is written out.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from evidence.canonical import canonical_json, digest
from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.objects import CollectedObject
from evidence.errors import InputError
from evidence.log.entries import EntryKind
from evidence.store.content import content_hash, details_json, object_leaf, pack, sources_json, timestamp
from evidence.store.log import append
from evidence.store.rows import SNAPSHOTS, not_in_its_run, root_of, snapshot_info, storable_run, utc
from evidence.store.tables import ClusterRow, DocumentRow, IntentRow, IntervalRow, ObjectRow, SnapshotRow, SourcesRow
from evidence.store.values import NewSnapshot, SnapshotInfo

_DIGESTS_A_QUERY = 500

BodyTable = type[ObjectRow] | type[IntentRow] | type[SourcesRow] | type[DocumentRow]
Key = tuple[str, str, str, str]  # group, kind, namespace, name


@dataclass(frozen=True, slots=True)
class Prepared:
    """A snapshot ready to be written. `info` has everything but its number."""

    info: SnapshotInfo
    details: bytes
    content: bytes
    sources: bytes
    objects: tuple[CollectedObject, ...]
    intent: bytes | None


def prepare(new: NewSnapshot) -> Prepared:
    """Raises InputError for an object that cannot be stored (canonical JSON has no bytes for it)."""
    objects = new.collection.objects
    received_at = utc(new.received_at)
    info = SnapshotInfo(
        id=0,
        cluster=cluster_name(new.cluster),
        taken_at=utc(new.taken_at),
        taken_at_claimed=new.taken_at_claimed,
        received_at=received_at,
        started_at=utc(new.started_at or received_at),
        finished_at=utc(new.finished_at or received_at),
        root_digest="",
        partial=new.collection.partial,
        object_count=len(objects),
        intent_digest="" if new.intent is None else digest(new.intent),
        run=storable_run(new.run),
    )
    if not_in_its_run(info.taken_at, info.taken_at_claimed, info.started_at, info.finished_at):
        raise InputError(
            f"a snapshot of {info.cluster} says that it was taken at {timestamp(info.taken_at)}, when its run (from {timestamp(info.started_at)} to "
            f"{timestamp(info.finished_at)}) was not under way; a time that somebody tells has to be marked as claimed"
        )
    details, content = details_json(new.collection), content_hash(object_leaf(obj.key, obj.digest) for obj in objects)
    sources = sources_json(objects)
    root = root_of(info, details, digest(sources), content)
    return Prepared(replace(info, root_digest=root), details, content, sources, objects, new.intent)


def cluster_name(name: str) -> str:
    """The name, if it can be one. Raises InputError."""
    if not name or not name.isprintable():
        raise InputError(f"{name!r} is no name for a cluster; use printable characters")
    return name


def write(connection: Connection, prepared: Prepared) -> SnapshotInfo:
    """Write it; the caller commits. The very same snapshot (time, content, intent) is not written twice: the first one is given."""
    info = prepared.info
    cluster_id = cluster_number(connection, info.cluster)
    again = _same_snapshot(connection, cluster_id, prepared)
    if again:
        return again
    came, went = _changes(connection, cluster_id, prepared)
    _insert_bodies(connection, came)
    insert_once(connection, SourcesRow, {digest(prepared.sources): prepared.sources})
    if prepared.intent is not None:
        insert_once(connection, IntentRow, {info.intent_digest: prepared.intent})
    snapshot_id = _insert_snapshot(connection, cluster_id, prepared)
    _close(connection, cluster_id, went, snapshot_id)
    _open(connection, cluster_id, came, snapshot_id)
    append(connection, EntryKind.SNAPSHOT, cluster_id, snapshot_id, info.root_digest)
    return replace(info, id=snapshot_id)


def cluster_number(connection: Connection, name: str) -> int:
    """The cluster's number, given on first sight."""
    found = connection.scalar(select(ClusterRow.id).where(ClusterRow.name == name))
    if found is None:
        found = connection.scalar(insert(ClusterRow).values(name=name).returning(ClusterRow.id))
    assert found is not None  # noqa: S101  (INSERT … RETURNING gives a row)
    return found


def _same_snapshot(connection: Connection, cluster_id: int, prepared: Prepared) -> SnapshotInfo | None:
    info = prepared.info
    rows = connection.execute(
        SNAPSHOTS.where(
            SnapshotRow.cluster_id == cluster_id,
            SnapshotRow.taken_at == info.taken_at,
            SnapshotRow.taken_at_claimed == info.taken_at_claimed,
            SnapshotRow.content == prepared.content.hex(),
            SnapshotRow.sources_digest == digest(prepared.sources),
            SnapshotRow.details == pack(prepared.details),
        ).order_by(SnapshotRow.id)
    )
    return next((found for found in map(snapshot_info, rows) if found.intent_digest == info.intent_digest), None)


def _changes(
    connection: Connection, cluster_id: int, prepared: Prepared
) -> tuple[list[CollectedObject], list[tuple[Key, int]]]:
    """What differs from the last snapshot entered: the objects that came or changed; key and first snapshot of what went or changed.

    With the same content hash nothing does, so an unchanged cluster costs no look at its objects.
    """
    last = select(func.max(SnapshotRow.id)).where(SnapshotRow.cluster_id == cluster_id).scalar_subquery()
    if connection.scalar(select(SnapshotRow.content).where(SnapshotRow.id == last)) == prepared.content.hex():
        return [], []
    came, went = [], []
    with without_cycle_search():
        before = _open_intervals(connection, cluster_id)
        for obj in prepared.objects:
            first, found = before.pop(obj.key, (0, None))
            if found != obj.digest:
                came.append(_storable(obj))
                if found:
                    went.append((obj.key, first))
        return came, went + [(key, first) for key, (first, _) in before.items()]


def _storable(obj: CollectedObject) -> CollectedObject:
    """The object, if a row can be made of it. Raises InputError, ValueError."""
    if not obj.kept:
        raise ValueError(f"{obj.key} is not cut down to its kept fields; it may not be stored")
    if "\x00" in "".join(obj.key):
        raise InputError(f"{obj.source}: {obj.key!s}: a zero byte in a name cannot be stored".replace("\x00", "\\x00"))
    return obj


def _open_intervals(connection: Connection, cluster_id: int) -> dict[Key, tuple[int, str]]:
    """First snapshot and digest by key, of what the last snapshot entered held."""
    rows = connection.execute(
        select(
            IntervalRow.group,
            IntervalRow.kind,
            IntervalRow.namespace,
            IntervalRow.name,
            IntervalRow.first_id,
            IntervalRow.digest,
        ).where(IntervalRow.cluster_id == cluster_id, IntervalRow.end_id.is_(None))
    )
    return {(group, kind, namespace, name): (first, found) for group, kind, namespace, name, first, found in rows}


def _insert_bodies(connection: Connection, objects: Iterable[CollectedObject]) -> None:
    """Those that are not there yet."""
    by_digest = {obj.digest: obj for obj in objects}
    wanted = sorted(by_digest)
    for start in range(0, len(wanted), _DIGESTS_A_QUERY):
        some = wanted[start : start + _DIGESTS_A_QUERY]
        there = set(
            connection.scalars(select(ObjectRow.digest).where(ObjectRow.digest.in_(some), ObjectRow.body.is_not(None)))
        )
        insert_once(connection, ObjectRow, {found: _body(by_digest[found]) for found in some if found not in there})


def _body(obj: CollectedObject) -> bytes:
    """The bytes that the digest is of."""
    body = canonical_json(obj.body)
    if digest(body) != obj.digest:
        raise ValueError(f"{obj.key} was changed after its digest was taken; it may not be stored")
    return body


def insert_once(connection: Connection, table: BodyTable, bodies: dict[str, bytes]) -> None:
    """In the order of digests, so that writers of two clusters cannot wait for each other in a circle.

    A body that was dropped and comes again is put back.
    """
    if not bodies:
        return
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement = dialect.insert(table)
    statement = statement.on_conflict_do_update(
        index_elements=["digest"], set_={"body": statement.excluded.body}, where=table.body.is_(None)
    )
    connection.execute(statement, [{"digest": found, "body": pack(bodies[found])} for found in sorted(bodies)])


def _insert_snapshot(connection: Connection, cluster_id: int, prepared: Prepared) -> int:
    info = prepared.info
    number: int | None = connection.scalar(
        insert(SnapshotRow)
        .values(
            cluster_id=cluster_id,
            taken_at=info.taken_at,
            taken_at_claimed=info.taken_at_claimed,
            received_at=info.received_at,
            started_at=info.started_at,
            finished_at=info.finished_at,
            root_digest=info.root_digest,
            content=prepared.content.hex(),
            object_count=info.object_count,
            partial=info.partial,
            intent_digest=info.intent_digest or None,
            sources_digest=digest(prepared.sources),
            details=pack(prepared.details),
            software_version=info.run.software_version,
            host=info.run.host,
            identity=info.run.identity,
            command=info.run.command,
            configuration_digest=info.run.configuration_digest,
        )
        .returning(SnapshotRow.id)
    )
    assert number is not None  # noqa: S101  (INSERT … RETURNING gives a row)
    return number


def _close(connection: Connection, cluster_id: int, went: list[tuple[Key, int]], snapshot_id: int) -> None:
    if not went:
        return
    table = IntervalRow.__table__
    connection.execute(
        update(IntervalRow)
        .where(
            table.c.cluster_id == cluster_id,
            table.c.group == bindparam("k_group"),
            table.c.kind == bindparam("k_kind"),
            table.c.namespace == bindparam("k_namespace"),
            table.c.name == bindparam("k_name"),
            table.c.first_id == bindparam("k_first"),
            table.c.end_id.is_(None),
        )
        .values(end_id=snapshot_id),
        [
            {"k_group": key[0], "k_kind": key[1], "k_namespace": key[2], "k_name": key[3], "k_first": first}
            for key, first in went
        ],
    )


def _open(connection: Connection, cluster_id: int, came: list[CollectedObject], snapshot_id: int) -> None:
    if not came:
        return
    connection.execute(
        insert(IntervalRow),
        [
            {
                "cluster_id": cluster_id,
                "group": obj.key.group,
                "kind": obj.key.kind,
                "namespace": obj.key.namespace,
                "name": obj.key.name,
                "first_id": snapshot_id,
                "digest": obj.digest,
            }
            for obj in came
        ],
    )
