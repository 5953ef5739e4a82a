"""Dropping what nobody has to keep any more: bodies, never a row of a snapshot, an interval, a record or the log.

What a prune takes:
1. A snapshot goes when it was taken, and came in, before the time that the policy gives: a late dump is kept as long as others. Held ones
   stay, and of each cluster the newest one and the one entered last, whatever their age: the next one is compared with it, and the
   cluster's last known state is there.
2. A hold covers what was taken in its period, and the last snapshot before it, which tells how the period began.
3. A record goes when it ended and came in so long before that no snapshot that stays, by a hold or otherwise, looks back at it, and no hold
   covers it.
4. A body (object, intent file, list of sources, document) goes when no snapshot or record that stays needs it.

Everything happens in one transaction that no writer overlaps. What goes is gathered in tables of this connection alone first, so that a plan
and a prune are the same statements, and memory does not grow with the store.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    Select,
    String,
    Table,
    and_,
    func,
    insert,
    literal,
    select,
    update,
)

from evidence.errors import StoreError
from evidence.log.entries import EntryKind
from evidence.store.content import timestamp
from evidence.store.retention import (
    DroppedKind,
    Hold,
    Prune,
    Term,
    dropped_digest,
    enter,
    holds,
)
from evidence.store.tables import (
    ClusterRow,
    Digest,
    DocumentRow,
    DroppedRow,
    Id,
    IntentRow,
    IntervalRow,
    ObjectRow,
    RecordRow,
    SnapshotRow,
    SourcesRow,
)
from evidence.store.values import RunInfo
from evidence.store.write import BodyTable

BODIES: Mapping[DroppedKind, BodyTable] = {
    DroppedKind.OBJECT: ObjectRow,
    DroppedKind.INTENT: IntentRow,
    DroppedKind.SOURCES: SourcesRow,
    DroppedKind.DOCUMENT: DocumentRow,
}

# Snapshots that stay, as runs of neighbours in one cluster; and what goes. Both belong to one connection and one transaction.
STAYING = Table(
    "evidence_staying",
    MetaData(),
    Column("cluster_id", Id, primary_key=True, autoincrement=False),
    Column("first_id", Id, primary_key=True, autoincrement=False),
    Column("last_id", Id, nullable=False),
    prefixes=["TEMPORARY"],
)
_GOING = Table(
    "evidence_going",
    MetaData(),
    Column("kind", String, primary_key=True),
    Column("digest", Digest, primary_key=True),
    prefixes=["TEMPORARY"],
)

_OPEN_END = 2**62  # beyond every number of a snapshot
_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """Of one cluster: how many snapshots and records go, when the snapshots were taken, and how many old ones stay by a hold or as the newest."""

    cluster: str
    snapshots: int
    records: int
    first_taken_at: datetime | None
    last_taken_at: datetime | None
    held: int
    newest: int


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What a prune would drop. `counts`: by kind; `size`: bytes of the bodies as they are kept; `holds`: those that stand."""

    before: datetime
    clusters: tuple[ClusterPlan, ...]
    counts: dict[str, int]
    size: int
    holds: tuple[Hold, ...]

    @property
    def empty(self) -> bool:
        return not any(self.counts.values())


@dataclass(frozen=True, slots=True)
class EnteredSnapshot:
    """`came` is the later of when it was taken and when it came in."""

    id: int
    taken_at: datetime
    came: datetime
    root: str
    dropped: bool


def plan_prune(connection: Connection, before: datetime, look_back: timedelta) -> PrunePlan:
    """What `prune` would do now. `look_back`: how long before its time a snapshot asks for records."""
    with _staged(connection, before, look_back) as plan:
        return plan


def prune(
    connection: Connection,
    before: datetime,
    look_back: timedelta,
    policy: Sequence[Term],
    made_at: datetime,
    run: RunInfo,
) -> Prune | None:
    """Drop what was taken before a time, as one act of the log; the caller commits. None when there was nothing to drop: nothing is written.

    The connection must hold the store alone (see `database.writing`).
    """
    with _staged(connection, before, look_back) as plan:
        if plan.empty:
            return None
        dropped, counts = dropped_digest(_going(connection))
        standing = tuple(hold.act.digest for hold in plan.holds)
        statement = {
            "before": timestamp(before),
            "policy": [{"framework": one.framework, "months": one.months, "source": one.source} for one in policy],
            "holds": list(standing),
            "counts": dict(counts),
            "dropped": dropped,
        }
        act = enter(connection, EntryKind.PRUNE, made_at, statement, run)
        connection.execute(
            insert(DroppedRow).from_select(
                ["digest", "kind", "prune_id"], select(_GOING.c.digest, _GOING.c.kind, literal(act.id))
            )
        )
        for kind, table in BODIES.items():
            these = select(_GOING.c.digest).where(_GOING.c.kind == kind.value)
            done = connection.execute(update(table).where(table.digest.in_(these)).values(body=None))
            if done.rowcount != counts.get(kind.value, 0):
                raise StoreError(
                    f"{done.rowcount} of {counts.get(kind.value, 0)} bodies ({kind.value}) could be dropped"
                )
        return Prune(act, before, tuple(policy), standing, counts, dropped)


# -- what goes --------------------------------------------------------------------------------------------------------


@contextmanager
def _staged(connection: Connection, before: datetime, look_back: timedelta) -> Iterator[PrunePlan]:
    standing = tuple(hold for hold in holds(connection) if hold.release is None)
    staying: dict[int, list[tuple[int, int]]] = {}
    going: list[tuple[DroppedKind, str]] = []
    plans = []
    for cluster_id, name in connection.execute(select(ClusterRow.id, ClusterRow.name).order_by(ClusterRow.name)).all():
        covering = [hold for hold in standing if hold.cluster in ("", name)]
        entered = _snapshots(connection, cluster_id)
        there = [one for one in entered if not one.dropped]
        newest = newest_of(there)
        held = held_by(there, covering)
        old = [one for one in there if one.came < before]
        gone = [one for one in old if one.id not in newest and one.id not in held]
        numbers = {one.id for one in gone}
        stay = [one.taken_at for one in there if one.id not in numbers and one.id not in held]
        staying[cluster_id] = runs([one.id for one in entered], numbers | {one.id for one in entered if one.dropped})
        oldest = min([before, *stay])
        looked_back_from = [one.taken_at for one in there if one.id in held]
        records = [
            found
            for found, starts_at, ends_at in _records(
                connection, cluster_id, name, before, oldest - look_back, look_back, covering
            )
            if not any(starts_at <= at <= ends_at + look_back for at in looked_back_from)
        ]
        going += [(DroppedKind.SNAPSHOT, one.root) for one in gone] + [(DroppedKind.RECORD, one) for one in records]
        times = [one.taken_at for one in gone]
        stays = [one.id for one in old if one.id in newest or one.id in held]
        by_hold = sum(number in held for number in stays)
        plans.append(
            ClusterPlan(
                name,
                len(gone),
                len(records),
                min(times, default=None),
                max(times, default=None),
                by_hold,
                len(stays) - by_hold,
            )
        )
    with staying_runs(connection, staying):
        _GOING.create(connection)
        for start in range(0, len(going), _ROWS_AT_ONCE):
            some = going[start : start + _ROWS_AT_ONCE]
            connection.execute(insert(_GOING), [{"kind": kind.value, "digest": found} for kind, found in some])
        size = 0
        for kind, table in BODIES.items():
            found = select(table.digest).where(table.body.is_not(None)).except_(_needed(kind)).subquery()
            connection.execute(
                insert(_GOING).from_select(["kind", "digest"], select(literal(kind.value), found.c.digest))
            )
            these = select(_GOING.c.digest).where(_GOING.c.kind == kind.value)
            size += int(
                connection.scalar(select(func.sum(func.length(table.body))).where(table.digest.in_(these))) or 0
            )
        counted = connection.execute(select(_GOING.c.kind, func.count()).group_by(_GOING.c.kind)).all()
        of_kind = {str(kind): int(number) for kind, number in counted}
        counts = {kind.value: of_kind.get(kind.value, 0) for kind in DroppedKind}
        yield PrunePlan(before, tuple(plans), counts, size, standing)
        _GOING.drop(connection)


def _snapshots(connection: Connection, cluster_id: int) -> list[EnteredSnapshot]:
    """All of them, in the order of their entry."""
    dropped = set(connection.scalars(select(DroppedRow.digest).where(DroppedRow.kind == DroppedKind.SNAPSHOT.value)))
    query = select(SnapshotRow.id, SnapshotRow.taken_at, SnapshotRow.received_at, SnapshotRow.root_digest).where(
        SnapshotRow.cluster_id == cluster_id
    )
    return [
        EnteredSnapshot(number, taken_at, max(taken_at, received_at), root, root in dropped)
        for number, taken_at, received_at, root in connection.execute(query.order_by(SnapshotRow.id))
    ]


def newest_of(snapshots: Sequence[EnteredSnapshot]) -> set[int]:
    """Numbers of the one taken last and of the one entered last; `snapshots` in the order of their entry."""
    return {max(snapshots, key=lambda one: (one.taken_at, one.id)).id, snapshots[-1].id} if snapshots else set()


def held_by(snapshots: Sequence[EnteredSnapshot], covering: Sequence[Hold]) -> set[int]:
    """Numbers of those that a hold of this cluster covers, and of the last one before each hold's period."""
    found: set[int] = set()
    in_time = sorted(snapshots, key=lambda one: (one.taken_at, one.id))
    for hold in covering:
        inside = [one for one in in_time if hold.covers(hold.cluster, one.taken_at, one.taken_at)]
        before = [one for one in in_time if hold.start is not None and one.taken_at < hold.start]
        found |= {one.id for one in (*before[-1:], *inside)}
    return found


def _records(
    connection: Connection,
    cluster_id: int,
    cluster: str,
    came_before: datetime,
    ended_before: datetime,
    look_back: timedelta,
    covering: Sequence[Hold],
) -> Iterator[tuple[str, datetime, datetime]]:
    """Digests of the records that go unless a held snapshot looks back at them, and their periods."""
    dropped = select(DroppedRow.digest).where(DroppedRow.kind == DroppedKind.RECORD.value)
    query = select(RecordRow.record_digest, RecordRow.starts_at, RecordRow.ends_at).where(
        RecordRow.cluster_id == cluster_id,
        RecordRow.ends_at < ended_before,
        RecordRow.taken_in_at < came_before,
        RecordRow.record_digest.not_in(dropped),
    )
    for found, starts_at, ends_at in connection.execute(query.order_by(RecordRow.id)).all():
        if not any(hold.covers(cluster, starts_at, ends_at + look_back) for hold in covering):
            yield found, starts_at, ends_at


def runs(entered: Sequence[int], gone: set[int]) -> list[tuple[int, int]]:
    """First and last number of each run of neighbours that are not gone; `entered`: the numbers of all snapshots of a cluster, in order."""
    found: list[tuple[int, int]] = []
    joined = False
    for number in entered:
        stays = number not in gone
        if stays and joined:
            found[-1] = found[-1][0], number
        elif stays:
            found.append((number, number))
        joined = stays
    return found


@contextmanager
def staying_runs(connection: Connection, staying: dict[int, list[tuple[int, int]]]) -> Iterator[None]:
    """The table of this connection that holds these runs, by cluster."""
    STAYING.create(connection)
    rows = [
        {"cluster_id": cluster_id, "first_id": first, "last_id": last}
        for cluster_id, found in staying.items()
        for first, last in found
    ]
    if rows:
        connection.execute(insert(STAYING), rows)
    yield
    STAYING.drop(connection)


def needed_objects() -> Select[Any]:
    """Digests of the objects that snapshots of the runs hold."""
    return select(IntervalRow.digest).join(
        STAYING,
        and_(
            STAYING.c.cluster_id == IntervalRow.cluster_id,
            STAYING.c.first_id < func.coalesce(IntervalRow.end_id, _OPEN_END),
            STAYING.c.last_id >= IntervalRow.first_id,
        ),
    )


def needed_by_header(column: Any) -> Select[Any]:
    """Digests that headers of snapshots of the runs name in a column."""
    return (
        select(column)
        .select_from(SnapshotRow)
        .join(
            STAYING,
            and_(
                STAYING.c.cluster_id == SnapshotRow.cluster_id,
                SnapshotRow.id.between(STAYING.c.first_id, STAYING.c.last_id),
            ),
        )
        .where(column.is_not(None))
    )


def _needed(kind: DroppedKind) -> Select[Any]:
    """Digests of the bodies of a kind that what stays needs."""
    match kind:
        case DroppedKind.OBJECT:
            return needed_objects()
        case DroppedKind.INTENT:
            return needed_by_header(SnapshotRow.intent_digest)
        case DroppedKind.SOURCES:
            return needed_by_header(SnapshotRow.sources_digest)
        case _:
            dropped = select(DroppedRow.digest).where(DroppedRow.kind == DroppedKind.RECORD.value)
            going = select(_GOING.c.digest).where(_GOING.c.kind == DroppedKind.RECORD.value)
            return select(RecordRow.document_digest).where(
                and_(RecordRow.record_digest.not_in(dropped), RecordRow.record_digest.not_in(going))
            )


def _going(connection: Connection) -> Iterator[tuple[str, str]]:
    for kind in DroppedKind:
        query = select(_GOING.c.digest).where(_GOING.c.kind == kind.value).order_by(_GOING.c.digest)
        for found in connection.scalars(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
            yield kind.value, found
