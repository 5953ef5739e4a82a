"""Whether everything that is gone was dropped by a prune, and every prune dropped what it says and what it was allowed to.

1. An act's digest covers all that it says; the log has an entry for each.
2. A prune's own digest covers the exact set of things that it dropped.
3. A body that is not there is in such a set, and no snapshot or record that was not dropped needs it. So a body that somebody deleted, or
   put on a prune's list, is told apart.
4. A prune dropped no more than prune.py takes: nothing from after the time that it names, which is no later than its own policy allows on its
   day; nothing under a hold that stood then; not the newest snapshot; and no record at which a snapshot that stayed may look back.
   What was there then is what stands before it in the log.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, and_, func, select

from evidence.errors import StoreError, UsageError
from evidence.log.entries import EntryKind
from evidence.store.log import ACTS
from evidence.store.prune import (
    BODIES,
    EnteredSnapshot,
    held_by,
    needed_by_header,
    needed_objects,
    newest_of,
    runs,
    staying_runs,
)
from evidence.store.retention import DroppedKind, Hold, Prune, digest_of, dropped_digest, holds, months_before, prunes
from evidence.store.tables import ClusterRow, DroppedRow, LogEntryRow, RecordRow, RetentionRow, SnapshotRow

_ROWS_AT_ONCE = 1000

_Entered = dict[str, list[tuple[int, EnteredSnapshot]]]  # by cluster, with the place in the log
_Freed = Counter[
    tuple[int, int]
]  # by prune and by hold that was released before it: how much of what went the hold had covered


@dataclass(frozen=True, slots=True)
class PruneSummary:
    """A prune as `check` tells of it. `missing`: bodies that it was the last to drop and that are not there; one that was collected again is.
    `released`: holds that had ended by then, each with how many of the snapshots and records that the prune dropped it had covered."""

    prune: Prune
    missing: int
    released: tuple[tuple[Hold, int], ...] = ()


def check_retention(connection: Connection) -> tuple[list[str], tuple[PruneSummary, ...]]:
    """One sentence for each thing that is wrong, and the prunes with the bodies that they dropped."""
    problems = list(_acts(connection))
    if problems:  # what follows hangs on them
        return problems + list(_unexplained(connection)), ()
    try:
        made, standing = prunes(connection), holds(connection)
    except (StoreError, ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"retention: what was decided cannot be read ({error})", *_unexplained(connection)], ()
    problems += _releases(connection, standing)
    snapshots = _entered(connection) if made else {}
    freed = _Freed()
    for one in made:
        problems += _prune(connection, one, standing, snapshots, freed)
    known = {one.act.id for one in made}
    for number in connection.scalars(select(DroppedRow.prune_id).distinct().order_by(DroppedRow.prune_id)):
        if number not in known:
            problems.append(f"retention: things are listed as dropped by act {number}, which is no prune")
    problems += _unexplained(connection)
    problems += _needed(connection)
    missing = _missing(connection)
    return problems, tuple(
        PruneSummary(
            one,
            missing.get(one.act.id, 0),
            tuple((hold, number) for hold in standing if (number := freed[one.act.id, hold.act.id])),
        )
        for one in made
    )


def _acts(connection: Connection) -> Iterator[str]:
    for row in connection.execute(select(*RetentionRow.__table__.columns).order_by(RetentionRow.id)):
        if row.kind not in ACTS:
            yield f"retention: act {row.id} is of kind {row.kind!r}, which this version does not know"
        if digest_of(row) != row.act_digest:
            yield f"{row.kind} {row.id}: its digest does not match what it says"


def _releases(connection: Connection, standing: tuple[Hold, ...]) -> Iterator[str]:
    """A release is of a hold that is there and stood."""
    releases = {hold.release.act.id for hold in standing if hold.release}
    query = select(RetentionRow.id).where(RetentionRow.kind == EntryKind.RELEASE.value).order_by(RetentionRow.id)
    for number in connection.scalars(query):
        if number not in releases:
            yield f"release {number} is of no hold that stood"


def _prune(
    connection: Connection, one: Prune, standing: tuple[Hold, ...], snapshots: _Entered, freed: _Freed
) -> Iterator[str]:
    """What is wrong with it. `snapshots`: those that were not dropped before; what this one dropped is taken out. `freed` is added to."""
    dropped, counts = dropped_digest(_dropped(connection, one.act.id))
    if (dropped, dict(counts)) != (one.dropped, {kind: n for kind, n in one.counts.items() if n}):
        yield f"prune {one.act.id}: what is listed as dropped by it is not what it dropped (digest over the list differs)"
        return
    then = [
        hold
        for hold in standing
        if hold.act.id < one.act.id and (hold.release is None or hold.release.act.id > one.act.id)
    ]
    ended = [hold for hold in standing if hold.release is not None and hold.release.act.id < one.act.id]
    if tuple(hold.act.digest for hold in then) != one.holds:
        yield f"prune {one.act.id}: the holds that it names are not those that stood"
    yield from _policy(one)
    going, at = _went(connection, one), _position(connection, one)
    oldest: dict[str, datetime] = {}
    for name, entered in snapshots.items():
        there = [snapshot for position, snapshot in entered if position < at]
        for hold in (hold for hold in ended if hold.cluster in ("", name)):
            held = held_by(there, [hold])
            freed[one.act.id, hold.act.id] += sum(each.root in going and each.id in held for each in there)
        stay, problems = _of_cluster(one, then, name, there, going)
        oldest[name] = min([one.before, *stay])
        yield from problems
        snapshots[name] = [(position, snapshot) for position, snapshot in entered if snapshot.root not in going]
    yield from _records(connection, one, then, ended, oldest, freed)


def _policy(one: Prune) -> Iterator[str]:
    try:
        kept_from = months_before(one.act.made_at, max(term.months for term in one.policy))
    except (UsageError, ValueError, TypeError):
        yield f"prune {one.act.id}: it names no policy by which anything could be dropped"
        return
    if one.before > kept_from:
        yield f"prune {one.act.id}: it dropped what its own policy keeps (from {kept_from:%Y-%m-%d %H:%M} UTC on)"


def _of_cluster(
    one: Prune, then: list[Hold], name: str, there: list[EnteredSnapshot], going: set[str]
) -> tuple[list[datetime], list[str]]:
    """When those were taken that stay without a hold, and what is wrong. `there`: what was there when the prune was made."""
    newest = newest_of(there)
    gone = [snapshot for snapshot in there if snapshot.root in going]
    covered = {hold.act.id: held_by(there, [hold]) for hold in then if hold.cluster in ("", name)}
    problems = []
    for snapshot in gone:
        what = f"prune {one.act.id}: snapshot {snapshot.id} of {name}"
        if snapshot.came >= one.before:
            problems.append(f"{what} is younger than what it was to drop")
        if snapshot.id in newest:
            problems.append(f"{what} was the newest, which is never dropped")
        problems += [f"{what} was under hold {number}" for number, held in covered.items() if snapshot.id in held]
    held = set().union(*covered.values())
    return [each.taken_at for each in there if each.root not in going and each.id not in held], problems


def _records(
    connection: Connection,
    one: Prune,
    then: list[Hold],
    ended: list[Hold],
    oldest: Mapping[str, datetime],
    freed: _Freed,
) -> Iterator[str]:
    """`oldest`: when the oldest snapshot was taken that stayed, by cluster. How far it looks back is not on record: at least not at all."""
    query = (
        select(ClusterRow.name, RecordRow.id, RecordRow.starts_at, RecordRow.ends_at, RecordRow.taken_in_at)
        .join_from(RecordRow, ClusterRow, RecordRow.cluster_id == ClusterRow.id)
        .join(
            DroppedRow,
            and_(
                DroppedRow.digest == RecordRow.record_digest,
                DroppedRow.kind == DroppedKind.RECORD.value,
                DroppedRow.prune_id == one.act.id,
            ),
        )
        .order_by(RecordRow.id)
    )
    for name, number, starts_at, ends_at, taken_in_at in connection.execute(query):
        if taken_in_at >= one.before or ends_at >= oldest.get(name, one.before):
            yield f"prune {one.act.id}: record {number} of {name} is younger than what it was to drop"
        for hold in ended:
            freed[one.act.id, hold.act.id] += hold.covers(name, starts_at, ends_at)
        for hold in then:
            if hold.covers(name, starts_at, ends_at):
                yield f"prune {one.act.id}: record {number} of {name} was under hold {hold.act.id}"


def _went(connection: Connection, one: Prune) -> set[str]:
    """Roots of the snapshots that it dropped."""
    query = select(DroppedRow.digest).where(DroppedRow.prune_id == one.act.id)
    return set(connection.scalars(query.where(DroppedRow.kind == DroppedKind.SNAPSHOT.value)))


def _position(connection: Connection, one: Prune) -> int:
    """Its place in the log; 0 without one, which the log's own check names."""
    query = select(func.min(LogEntryRow.position)).where(LogEntryRow.kind == EntryKind.PRUNE.value)
    return connection.scalar(query.where(LogEntryRow.digest == one.act.digest)) or 0


def _entered(connection: Connection) -> _Entered:
    """The snapshots of each cluster in the order of their entry, with their places in the log."""
    query = (
        select(
            LogEntryRow.position,
            ClusterRow.name,
            SnapshotRow.id,
            SnapshotRow.taken_at,
            SnapshotRow.received_at,
            SnapshotRow.root_digest,
        )
        .join_from(SnapshotRow, ClusterRow, SnapshotRow.cluster_id == ClusterRow.id)
        .join(LogEntryRow, and_(LogEntryRow.kind == EntryKind.SNAPSHOT.value, LogEntryRow.row_id == SnapshotRow.id))
        .order_by(SnapshotRow.id)
    )
    found: _Entered = defaultdict(list)
    for position, name, number, taken_at, received_at, root in connection.execute(query):
        found[name].append((position, EnteredSnapshot(number, taken_at, max(taken_at, received_at), root, False)))
    return found


def _dropped(connection: Connection, number: int) -> Iterator[tuple[str, str]]:
    """In the order in which they were hashed; kinds that nobody knows last, so that they show."""
    listed = connection.scalars(select(DroppedRow.kind).where(DroppedRow.prune_id == number).distinct())
    strange = sorted({*listed} - {kind.value for kind in DroppedKind})
    for kind in [*(kind.value for kind in DroppedKind), *strange]:
        query = select(DroppedRow.digest).where(DroppedRow.prune_id == number, DroppedRow.kind == kind)
        for found in connection.scalars(
            query.order_by(DroppedRow.digest), execution_options={"yield_per": _ROWS_AT_ONCE}
        ):
            yield kind, found


def _unexplained(connection: Connection) -> Iterator[str]:
    """Bodies that are not there and that no prune dropped."""
    for kind, table in BODIES.items():
        explained = select(DroppedRow.digest).where(DroppedRow.kind == kind.value)
        query = select(table.digest).where(table.body.is_(None)).except_(explained)
        for found in sorted(connection.scalars(query)):
            yield f"{_NAMES[kind]} {found}: its body was removed, and not by a prune"


_NAMES: Mapping[DroppedKind, str] = {
    DroppedKind.OBJECT: "object",
    DroppedKind.INTENT: "intent",
    DroppedKind.SOURCES: "list of sources",
    DroppedKind.DOCUMENT: "document",
}


def _needed(connection: Connection) -> Iterator[str]:
    """Bodies that are not there and that something needs which no prune dropped."""
    if not any(
        connection.scalar(select(table.digest).where(table.body.is_(None)).limit(1)) for table in BODIES.values()
    ):
        return
    entered: dict[int, list[int]] = defaultdict(list)
    gone: set[int] = set()
    dropped = set(connection.scalars(select(DroppedRow.digest).where(DroppedRow.kind == DroppedKind.SNAPSHOT.value)))
    query = select(SnapshotRow.cluster_id, SnapshotRow.id, SnapshotRow.root_digest).order_by(SnapshotRow.id)
    for cluster_id, number, root in connection.execute(query):
        entered[cluster_id].append(number)
        if root in dropped:
            gone.add(number)
    gone_records = select(DroppedRow.digest).where(DroppedRow.kind == DroppedKind.RECORD.value)
    needed: Mapping[DroppedKind, Select[Any]] = {
        DroppedKind.OBJECT: needed_objects(),
        DroppedKind.INTENT: needed_by_header(SnapshotRow.intent_digest),
        DroppedKind.SOURCES: needed_by_header(SnapshotRow.sources_digest),
        DroppedKind.DOCUMENT: select(RecordRow.document_digest).where(RecordRow.record_digest.not_in(gone_records)),
    }
    with staying_runs(connection, {cluster_id: runs(numbers, gone) for cluster_id, numbers in entered.items()}):
        for kind, table in BODIES.items():
            missing = select(table.digest).where(table.body.is_(None)).intersect(needed[kind])
            for found in sorted(connection.scalars(missing)):
                yield f"{_NAMES[kind]} {found}: its body was removed, and what no prune dropped needs it"


def _missing(connection: Connection) -> Mapping[int, int]:
    """How many bodies are not there, by the number of the last prune that dropped them."""
    found = Counter[int]()
    for kind, table in BODIES.items():
        query = (
            select(func.max(DroppedRow.prune_id))
            .join_from(DroppedRow, table, table.digest == DroppedRow.digest)
            .where(DroppedRow.kind == kind.value, table.body.is_(None))
            .group_by(DroppedRow.digest)
        )
        found.update(connection.scalars(query, execution_options={"yield_per": _ROWS_AT_ONCE}))
    return found
