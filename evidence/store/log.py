"""The log over the store: an entry for each snapshot, failed run, record, pack, prune and legal hold, in the order in which they came in.

An entry is written in the transaction of the thing itself, so that neither is ever without the other. Writers of different clusters do not
wait for each other until their last statements: these take the log's own lock, always after the cluster's. What is kept of the log's tree is in
subtrees.py.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, text

from evidence.canonical import canonical_json
from evidence.errors import SealError
from evidence.log.checkpoint import LogVerifier, read_checkpoint, stated
from evidence.log.entries import EntryKind, TreeHead
from evidence.log.tree import Growth
from evidence.store.content import timestamp
from evidence.store.database import lock_number
from evidence.store.rows import run_info
from evidence.store.subtrees import check_subtrees, entries, keep, size
from evidence.store.tables import (
    CheckpointRow,
    ClusterRow,
    FailedRunRow,
    LogEntryRow,
    RecordRow,
    RetentionRow,
    SnapshotRow,
)
from evidence.store.values import LogPlace, RunInfo

ACTS = frozenset({EntryKind.PRUNE.value, EntryKind.HOLD.value, EntryKind.RELEASE.value})
FAILED_RUN_DOMAIN = b"evidence/failed-run/v1\n"


def failed_run_digest(cluster: str, started_at: datetime, finished_at: datetime, message: str, run: RunInfo) -> str:
    """Hex digest of a failed run: SHA-256 of "evidence/failed-run/v1", a newline, and the canonical JSON of all that the store says of it."""
    header = {
        "cluster": cluster,
        "started_at": timestamp(started_at),
        "finished_at": timestamp(finished_at),
        "message": message,
        "run": {
            "software_version": run.software_version,
            "host": run.host,
            "identity": run.identity,
            "command": run.command,
            "configuration_digest": run.configuration_digest,
        },
    }
    return hashlib.sha256(FAILED_RUN_DOMAIN + canonical_json(header)).hexdigest()


def append(connection: Connection, kind: EntryKind, cluster_id: int | None, row_id: int | None, digest: str) -> None:
    """One entry at the end; the caller commits, and soon. `row_id`: the thing's number in its own table; no cluster: the whole store's."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_number("log")})
    position = size(connection)
    connection.execute(
        insert(LogEntryRow).values(
            position=position,
            kind=kind.value,
            cluster_id=cluster_id,
            row_id=row_id,
            digest=digest,
        )
    )
    keep(connection, position + 1)


def place(connection: Connection, kind: EntryKind, digest: str) -> LogPlace:
    """Where the entry of this kind and digest stands; the first one of several."""
    position = connection.scalar(
        select(func.min(LogEntryRow.position)).where(LogEntryRow.kind == kind.value, LogEntryRow.digest == digest)
    )
    return LogPlace(position, size(connection))


def places(connection: Connection, kind: EntryKind, cluster: str) -> dict[str, int]:
    """Where the entries of this kind and cluster stand, by digest."""
    query = select(LogEntryRow.digest, LogEntryRow.position).join_from(
        LogEntryRow, ClusterRow, LogEntryRow.cluster_id == ClusterRow.id
    )
    rows = connection.execute(query.where(LogEntryRow.kind == kind.value, ClusterRow.name == cluster))
    return {row.digest: row.position for row in rows}


def checkpoints(connection: Connection) -> tuple[str, ...]:
    """All checkpoints that were ever made, in their order."""
    return tuple(connection.scalars(select(CheckpointRow.note).order_by(CheckpointRow.number)))


def add_checkpoint(connection: Connection, note: str) -> None:
    """Keep a checkpoint; the very same again adds nothing."""
    if connection.scalar(select(CheckpointRow.number).where(CheckpointRow.note == note)) is None:
        last = connection.scalar(select(func.max(CheckpointRow.number)))
        connection.execute(insert(CheckpointRow).values(number=0 if last is None else last + 1, note=note))


# -- check ------------------------------------------------------------------------------------------------------------


def check_log(connection: Connection, verifiers: tuple[LogVerifier, ...], kept: tuple[str, ...]) -> Iterator[str]:
    """One sentence for each thing that is wrong.

    `verifiers`: keys whose checkpoints are believed; with none, checkpoints are compared with the log and their signatures left alone.
    `kept`: checkpoints that were kept elsewhere.
    """
    for column, what in ((LogEntryRow.position, "entries"), (CheckpointRow.number, "checkpoints")):
        numbers = list(connection.scalars(select(column).order_by(column)))
        if numbers != list(range(len(numbers))):
            yield f"the log: its {what} do not count from 0 without a gap: some were removed or added"
    yield from _against_rows(connection)
    believed: list[tuple[str, TreeHead]] = []  # where it is, what it states
    by_name = {verifier.name: verifier for verifier in verifiers}
    strangers: Counter[tuple[str, str]] = Counter()  # where it is, the name of its log
    for where, note in [
        *(("", note) for note in checkpoints(connection)),
        *(("kept elsewhere ", note) for note in kept),
    ]:
        try:
            name, head = stated(note)
            if verifiers and name not in by_name:
                strangers[where, name] += 1
                continue
            if verifiers:
                read_checkpoint(note, by_name[name])
            believed.append((where, head))
        except SealError as error:
            yield f"the log: a checkpoint {where}cannot be believed: {error}"
    count, roots, subtrees = _computed(connection, {head.size for _, head in believed})
    for where, head in believed:
        if head.size > count:
            yield f"the log: it had {head.size} entries at a checkpoint {where}and has {count}: entries were removed at its end"
        elif roots[head.size] != head.root:
            yield f"the log: its first {head.size} entries are not those of a checkpoint {where}of that size: entries were changed or reordered"
    for (where, name), number in strangers.items():
        yield (
            f"the log: {number} checkpoint{'s' if number > 1 else ''} {where}cannot be believed: signed in the name of {name}, "
            "whose key was not given; if that is your log, give its key with --log-key or its folder with --keys"
        )
    yield from check_subtrees(connection, subtrees)


def _computed(
    connection: Connection, sizes: Collection[int]
) -> tuple[int, dict[int, str], dict[tuple[int, int], bytes]]:
    """From the entries, of which none is held: how many there are, the root at each of these sizes, and the hash of each whole subtree."""
    tree = Growth()
    roots = {0: tree.root().hex()}
    subtrees: dict[tuple[int, int], bytes] = {}
    for entry in entries(connection):
        subtrees |= tree.add(entry.hash)
        if tree.size in sizes:
            roots[tree.size] = tree.root().hex()
    return tree.size, roots, subtrees


_Thing = tuple[int | None, str]  # number in its own table, digest


def _against_rows(connection: Connection) -> Iterator[str]:
    """Every entry has its row and every row its entry, in the same order for each cluster and kind."""
    logged: dict[tuple[str, str], list[_Thing]] = defaultdict(list)
    names = {row.id: row.name for row in connection.execute(select(ClusterRow.id, ClusterRow.name))}
    for row in connection.execute(select(*LogEntryRow.__table__.columns).order_by(LogEntryRow.position)):
        cluster = "" if row.cluster_id is None else names.get(row.cluster_id, "?")
        logged[row.kind, cluster].append((row.row_id, row.digest))
    stored = _stored(connection, names)
    for kind, cluster in sorted({*stored, *logged}):
        have, want = stored.get((kind, cluster), []), logged.get((kind, cluster), [])
        if kind == EntryKind.PACK:
            have = [(None, digest) for _, digest in want]
        if have == want:
            continue
        had, wanted = set(have), set(want)
        gone, strange = [one for one in want if one not in had], [one for one in have if one not in wanted]
        of = f" of {cluster}" if cluster else ""
        yield from (f"{_named(kind, one)}{of} is in the log and not in the store" for one in gone)
        yield from (f"{_named(kind, one)}{of} is in the store and not in the log" for one in strange)
        if not gone and not strange:
            yield f"the log: the entries of kind {kind}{of} stand in another order than they came in"
    decided = select(LogEntryRow.row_id).where(LogEntryRow.kind.in_(ACTS)).order_by(LogEntryRow.position)
    numbers = [number for number in connection.scalars(decided) if number is not None]
    if numbers != sorted(numbers):  # whether a hold stood at a prune hangs on it
        yield "the log: prunes, legal holds and releases are numbered in another order than they came in"


def _named(kind: str, thing: _Thing) -> str:
    number, digest = thing
    return f"{kind} {'' if number is None else f'{number} '}with digest {digest}"


def _stored(connection: Connection, names: Mapping[int, str]) -> dict[tuple[str, str], list[_Thing]]:
    """What is in the tables, by kind and cluster, in the order of its entry."""
    found: dict[tuple[str, str], list[_Thing]] = defaultdict(list)
    for kind, table, column in (
        (EntryKind.SNAPSHOT, SnapshotRow, SnapshotRow.root_digest),
        (EntryKind.RECORD, RecordRow, RecordRow.record_digest),
    ):
        for cluster_id, number, digest in connection.execute(
            select(table.cluster_id, table.id, column).order_by(table.id)
        ):
            found[kind.value, names.get(cluster_id, "?")].append((number, digest))
    for row in connection.execute(select(*FailedRunRow.__table__.columns).order_by(FailedRunRow.id)):
        cluster = names.get(row.cluster_id, "?")
        digest = failed_run_digest(cluster, row.started_at, row.finished_at, row.message, run_info(row))
        found[EntryKind.FAILED_RUN.value, cluster].append((row.id, digest))
    acts = select(RetentionRow.kind, RetentionRow.id, RetentionRow.act_digest).order_by(RetentionRow.id)
    for act_kind, number, digest in connection.execute(acts):
        found[act_kind, ""].append((number, digest))
    return found
