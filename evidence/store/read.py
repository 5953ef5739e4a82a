"""Reading one snapshot back, and checking it on the way: no byte is handed on that its digest does not cover."""

import hashlib
from collections.abc import Container, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from evidence.cluster.cycles import without_cycle_search
from evidence.cluster.objects import CollectedObject, Collection, KindStatus, ObjectKey
from evidence.errors import StoreError
from evidence.store.content import (
    content_hash,
    object_leaf,
    parse_body,
    parse_details,
    parse_outline,
    parse_sources,
    unpack,
)
from evidence.store.retention import DroppedKind, refuse_dropped
from evidence.store.rows import SNAPSHOTS, root_of, snapshot_info
from evidence.store.tables import ClusterRow, IntentRow, IntervalRow, ObjectRow, SnapshotRow, SourcesRow
from evidence.store.values import SnapshotHeader, SnapshotOutline, StoredSnapshot

_DIGESTS_A_QUERY = 500
_MISSING = frozenset({KindStatus.FORBIDDEN.value, KindStatus.FAILED.value})  # as in `Collection.partial`


def read_snapshot(connection: Connection, snapshot_id: int, like: Sequence[CollectedObject] = ()) -> StoredSnapshot:
    """Raises StoreError when there is none, or when anything in it is not what was stored. `like`: objects that were read before; their bodies
    are not read again."""
    row = connection.execute(SNAPSHOTS.where(SnapshotRow.id == snapshot_id)).first()
    if row is None:
        raise StoreError("there is none of that number")
    info = snapshot_info(row)
    refuse_dropped(connection, DroppedKind.SNAPSHOT, info.root_digest)
    with without_cycle_search():
        objects, leaves = _objects(connection, row, like)
    intent = read_intent(connection, info.intent_digest) if info.intent_digest else None
    details, content = unpack(row.details), content_hash(leaves)
    if root_of(info, details, row.sources_digest, content) != info.root_digest or len(objects) != info.object_count:
        raise StoreError("its root digest does not match its content")
    source, kinds, problems = parse_details(details)
    collection = Collection(source, objects, kinds, problems)
    if (content.hex(), collection.partial) != (row.content, info.partial):
        raise StoreError("what follows from its content was changed")
    return StoredSnapshot(info, collection, intent)


def read_header(connection: Connection, snapshot_id: int) -> SnapshotHeader | None:
    """All of a snapshot but its objects; None when there is none. Raises StoreError where the root digest does not cover what is given."""
    row = connection.execute(SNAPSHOTS.where(SnapshotRow.id == snapshot_id)).first()
    if row is None:
        return None
    info, details = snapshot_info(row), unpack(row.details)
    if root_of(info, details, row.sources_digest, bytes.fromhex(row.content)) != info.root_digest:
        raise StoreError("its root digest does not match its header")
    source, kinds, problems = parse_details(details)
    if info.partial != Collection(source, (), kinds, problems).partial:
        raise StoreError("what follows from its content was changed")
    return SnapshotHeader(info, row.content, source, kinds, problems)


def read_outlines(connection: Connection, cluster: str, start: datetime, end: datetime) -> Iterator[SnapshotOutline]:
    """Those taken from `start` to before `end`, oldest first. Raises StoreError where the root digest does not cover what is given."""
    rows = connection.execute(
        SNAPSHOTS.where(ClusterRow.name == cluster, SnapshotRow.taken_at >= start, SnapshotRow.taken_at < end).order_by(
            SnapshotRow.taken_at, SnapshotRow.id
        )
    )
    same: tuple[tuple[str, str, str], ...] = ()  # kinds of the one before: a year of snapshots shares them
    for row in rows:
        info, details = snapshot_info(row), unpack(row.details)
        if root_of(info, details, row.sources_digest, bytes.fromhex(row.content)) != info.root_digest:
            raise StoreError(f"snapshot {info.id}: its root digest does not match its header")
        kinds, problems = parse_outline(details)
        if info.partial != (bool(problems) or any(status in _MISSING for _, _, status in kinds)):
            raise StoreError(f"snapshot {info.id}: what follows from its content was changed")
        same = same if kinds == same else kinds
        yield SnapshotOutline(info, row.content, row.sources_digest, same, problems, row.details)


def collection_of(outline: SnapshotOutline, objects: tuple[CollectedObject, ...]) -> Collection:
    """The collection that the snapshot holds; `objects` are those of a snapshot with the same content and sources."""
    source, kinds, problems = parse_details(unpack(outline.details))
    return Collection(source, objects, kinds, problems)


def _objects(
    connection: Connection, row: Row[Any], like: Sequence[CollectedObject]
) -> tuple[tuple[CollectedObject, ...], list[bytes]]:
    """Objects in the order of their keys, and their leaves."""
    known = {(obj.key, obj.digest): obj for obj in like}
    in_order = sorted(_rows(connection, row, known), key=itemgetter(0))
    sources = parse_sources(_sources(connection, row.sources_digest), [key for key, _, _ in in_order])
    objects, leaves = [], []
    for (key, digest, packed), source in zip(in_order, sources, strict=True):
        obj = known.get((key, digest))
        if obj is None:
            body = checked_body(packed, digest, key)
            obj = CollectedObject(key, parse_body(body), source, _digest=digest)
        objects.append(obj if obj.source == source else replace(obj, source=source))
        leaves.append(object_leaf(key, digest))
    return tuple(objects), leaves


def _rows(
    connection: Connection, row: Row[Any], known: Container[tuple[ObjectKey, str]]
) -> list[tuple[ObjectKey, str, bytes | None]]:
    """Key, digest and kept body of each object in any order; of known ones no body."""
    there = (
        IntervalRow.cluster_id == row.cluster_id,
        IntervalRow.first_id <= row.id,
        or_(IntervalRow.end_id.is_(None), IntervalRow.end_id > row.id),
    )
    key_and_digest = IntervalRow.group, IntervalRow.kind, IntervalRow.namespace, IntervalRow.name, IntervalRow.digest
    if not known:
        query = select(*key_and_digest, ObjectRow.body).join(ObjectRow, IntervalRow.digest == ObjectRow.digest)
        found = connection.execute(query.where(*there))
        return [(ObjectKey(*each[:4]), each[4], each[5]) for each in found]
    listed = [(ObjectKey(*each[:4]), each[4]) for each in connection.execute(select(*key_and_digest).where(*there))]
    wanted = sorted({digest for key, digest in listed if (key, digest) not in known})
    bodies: dict[str, bytes | None] = {}
    for start in range(0, len(wanted), _DIGESTS_A_QUERY):
        some = ObjectRow.digest.in_(wanted[start : start + _DIGESTS_A_QUERY])
        packed = connection.execute(select(ObjectRow.digest, ObjectRow.body).where(some))
        bodies.update((digest, body) for digest, body in packed)
    return [(key, digest, bodies.get(digest)) for key, digest in listed]


def checked_body(packed: bytes | None, digest: str, name: str | ObjectKey) -> bytes:
    """The bytes whose SHA-256 is `digest`. Raises StoreError that names what it is the body of."""
    if packed is None:
        raise StoreError(f"the body of {name} was removed: `evidence db check` names what is wrong")
    try:
        body = unpack(packed)
    except StoreError as error:
        raise StoreError(f"the body of {name} is damaged: {error}") from error
    if hashlib.sha256(body).hexdigest() != digest:
        raise StoreError(f"the body of {name} does not match its digest {digest[:16]}…")
    return body


def read_intent(connection: Connection, digest: str) -> bytes:
    """Raises StoreError when it is missing, or not what was stored."""
    row = connection.execute(select(IntentRow.body).where(IntentRow.digest == digest)).first()
    if row is None:
        raise StoreError("its intent file is missing")
    return checked_body(row.body, digest, "its intent file")


def _sources(connection: Connection, digest: str) -> bytes:
    row = connection.execute(select(SourcesRow.body).where(SourcesRow.digest == digest)).first()
    if row is None:
        raise StoreError("the list of where its objects were read is missing")
    return checked_body(row.body, digest, "the list of where its objects were read")
