"""Walks the snapshots of a cluster in the order of their entry, with the content that the intervals give each of them.

Intervals come in the order in which they begin and, beside that, in the order in which they end, so that memory holds one snapshot and no
history. From one snapshot to the next only the blocks of leaves are hashed again in which something changed or moved (`Content`).
"""

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select

from evidence.cluster.objects import Collection, ObjectKey
from evidence.errors import StoreError
from evidence.log.merkle import tree_hash
from evidence.store.content import object_leaf, parse_details, unpack
from evidence.store.rows import SNAPSHOTS, not_in_its_run, root_of, snapshot_info
from evidence.store.tables import IntervalRow, SnapshotRow

_ROWS_AT_ONCE = 1000
_BLOCK = 256  # leaves


class Content:
    """The leaves of one snapshot's objects in the order of their keys, to be turned into those of the next one.

    `block`: how many leaves are hashed again together; a power of two, so that a block's hash is a node of the whole tree.
    """

    def __init__(self, block: int = _BLOCK) -> None:
        self._block = block
        self._keys: list[ObjectKey] = []
        self._leaves: list[bytes] = []
        self._blocks: list[tuple[list[bytes], bytes]] = []  # leaves and hash of each, when the hash was last asked for

    def __len__(self) -> int:
        return len(self._keys)

    def put(self, key: ObjectKey, leaf: bytes) -> bool:
        """False when there is an object with this key: nothing is changed then."""
        place = bisect_left(self._keys, key)
        if self._keys[place : place + 1] == [key]:
            return False
        self._keys.insert(place, key)
        self._leaves.insert(place, leaf)
        return True

    def take(self, key: ObjectKey, leaf: bytes) -> bool:
        """False when there is no object with this key and leaf: nothing is changed then."""
        place = bisect_left(self._keys, key)
        if self._keys[place : place + 1] != [key] or self._leaves[place] != leaf:
            return False
        del self._keys[place], self._leaves[place]
        return True

    def hash(self) -> bytes:
        """As `content_hash` of all leaves."""
        blocks = []
        for number, start in enumerate(range(0, len(self._leaves), self._block)):
            leaves = self._leaves[start : start + self._block]
            known = self._blocks[number] if number < len(self._blocks) else None
            blocks.append(known if known and known[0] == leaves else (leaves, tree_hash(leaves)))
        self._blocks = blocks
        return tree_hash([found for _, found in blocks])


class _Ordered:
    """Rows of a query that is ordered by the number of a snapshot, its first column."""

    def __init__(self, connection: Connection, number: ColumnElement[Any], cluster_id: int) -> None:
        query = (
            select(
                number,
                IntervalRow.group,
                IntervalRow.kind,
                IntervalRow.namespace,
                IntervalRow.name,
                IntervalRow.digest,
            )
            .where(IntervalRow.cluster_id == cluster_id, number.is_not(None))
            .order_by(number)
        )
        self._rows = iter(connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}))
        self._next = next(self._rows, None)
        self._passed_over: set[int] = set()

    def of(self, snapshot_id: int) -> Iterator[tuple[ObjectKey, bytes]]:
        """Keys and leaves at this snapshot; numbers have to be asked for in their order."""
        while self._next is not None and self._next[0] <= snapshot_id:
            number, group, kind, namespace, name, digest = self._next
            self._next = next(self._rows, None)
            if number == snapshot_id:
                key = ObjectKey(group, kind, namespace, name)
                yield key, object_leaf(key, digest)
            else:
                self._passed_over.add(number)

    def never_asked_for(self) -> set[int]:
        """Numbers of rows that were not given out; nothing is left afterwards."""
        while self._next is not None:
            self._passed_over.add(self._next[0])
            self._next = next(self._rows, None)
        return self._passed_over


def check_content(connection: Connection, cluster_id: int, cluster: str) -> Iterator[str]:
    """One sentence for each thing that is wrong with a cluster's snapshots and intervals."""
    begins = _Ordered(connection, IntervalRow.__table__.c.first_id, cluster_id)
    ends = _Ordered(connection, IntervalRow.__table__.c.end_id, cluster_id)
    content = Content()
    value = content.hash()
    query = SNAPSHOTS.where(SnapshotRow.cluster_id == cluster_id).order_by(SnapshotRow.id)
    for row in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        gone, came = dict(ends.of(row.id)), 0
        for key, leaf in gone.items():
            if not content.take(key, leaf):
                yield f"cluster {cluster}: {key} ends at snapshot {row.id} and was not there before"
        for key, leaf in begins.of(row.id):
            came += 1
            if not content.put(key, leaf):
                yield f"cluster {cluster}: {key} begins at snapshot {row.id} and was there already"
            elif gone.get(key) == leaf:
                yield f"cluster {cluster}: {key} ends and begins at snapshot {row.id} without having changed"
        if gone or came:
            value = content.hash()
        for problem in _snapshot(row, len(content), value):
            yield f"snapshot {row.id} of {cluster}: {problem}"
    for snapshot_id in sorted({*begins.never_asked_for(), *ends.never_asked_for()}):
        yield f"cluster {cluster}: objects begin or end at snapshot {snapshot_id}, which is not one of its snapshots"


def _snapshot(row: Row[Any], objects: int, content: bytes) -> Iterator[str]:
    info = snapshot_info(row)
    if content.hex() != row.content:
        yield "its objects are not the ones that were stored (content hash differs)"
    if not_in_its_run(info.taken_at, info.taken_at_claimed, info.started_at, info.finished_at):
        yield "its time is not one of its run, and is not said to be claimed"
    if objects != info.object_count:
        yield f"it has {objects} objects and says {info.object_count}"
    try:
        details = unpack(row.details)
        source, kinds, problems = parse_details(details)
    except StoreError as error:
        yield str(error)
        return
    if Collection(source, (), kinds, problems).partial != info.partial:
        yield "its mark as whole or partial does not follow from its kinds and problems"
    if root_of(info, details, row.sources_digest, bytes.fromhex(row.content)) != info.root_digest:
        yield "its root digest does not match its header"
