"""Recomputes every digest and every root of a store and names what is wrong.

What a digest covers is said in content.py, records.py and retention.py; what a prune may drop, in prune.py; that nothing else was removed,
added or put in another order, the log says (log.py). What came after the last checkpoint that
somebody kept elsewhere could still have been removed at the end.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from evidence.errors import StoreError
from evidence.log.checkpoint import LogVerifier
from evidence.store.check_content import check_content
from evidence.store.check_retention import PruneSummary, check_retention
from evidence.store.check_times import early_entries
from evidence.store.log import check_log
from evidence.store.read import checked_body
from evidence.store.records import check_records
from evidence.store.tables import (
    CheckpointRow,
    ClusterRow,
    DocumentRow,
    IntentRow,
    IntervalRow,
    LogEntryRow,
    ObjectRow,
    RecordRow,
    SnapshotRow,
    SourcesRow,
)
from evidence.store.write import BodyTable

_ROWS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class CheckResult:
    """How much was checked, and one sentence for each thing that is wrong. `remarks`: what somebody should look at and may have its reason."""

    snapshots: int
    objects: int
    records: int
    log_entries: int
    checkpoints: int
    problems: tuple[str, ...]
    prunes: tuple[PruneSummary, ...] = ()
    remarks: tuple[str, ...] = ()


def check_store(
    connection: Connection, verifiers: tuple[LogVerifier, ...] = (), kept: tuple[str, ...] = ()
) -> CheckResult:
    """Reads everything once; memory grows with one snapshot and with the number of snapshots and records, not with what changed between them."""
    problems = [
        *_damaged_pages(connection),
        *_bodies(connection, ObjectRow, "object"),
        *_bodies(connection, IntentRow, "intent"),
        *_bodies(connection, SourcesRow, "list of sources"),
        *_bodies(connection, DocumentRow, "document"),
    ]
    problems += _unused(connection)
    problems += _missing(connection)
    for cluster_id, name in connection.execute(select(ClusterRow.id, ClusterRow.name).order_by(ClusterRow.name)).all():
        problems += check_content(connection, cluster_id, name)
    problems += check_records(connection)
    wrong, prunes = check_retention(connection)
    problems += wrong
    problems += check_log(connection, verifiers, kept)
    snapshots, objects, records, log_entries, checkpoints = (
        connection.scalar(select(func.count()).select_from(table)) or 0
        for table in (SnapshotRow, ObjectRow, RecordRow, LogEntryRow, CheckpointRow)
    )
    return CheckResult(
        snapshots, objects, records, log_entries, checkpoints, tuple(problems), prunes, tuple(early_entries(connection))
    )


def _damaged_pages(connection: Connection) -> list[str]:
    """What SQLite itself finds wrong with its file and its references; Postgres watches over both by itself."""
    if connection.dialect.name != "sqlite":
        return []
    found = [line for line in connection.execute(text("PRAGMA integrity_check")).scalars() if line != "ok"]
    dangling = connection.execute(text("PRAGMA foreign_key_check")).all()
    return [f"the database file: {line}" for line in found] + [
        f"table {row[0]}: a row refers to a row of {row[2]} that is not there" for row in dangling
    ]


def _bodies(connection: Connection, table: BodyTable, what: str) -> Iterator[str]:
    query = select(table.digest, table.body).where(table.body.is_not(None)).order_by(table.digest)
    for digest, body in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        try:
            checked_body(body, digest, f"{what} {digest}")
        except StoreError as error:
            yield str(error)


def _unused(connection: Connection) -> Iterator[str]:
    """Nothing here is written for its own sake, so what no snapshot uses was put in by somebody else."""
    unused = select(ObjectRow.digest).where(
        ~select(IntervalRow.digest).where(IntervalRow.digest == ObjectRow.digest).exists()
    )
    for digest in connection.scalars(unused.order_by(ObjectRow.digest)):
        yield f"object {digest} belongs to no snapshot"
    used = select(SnapshotRow.intent_digest).where(SnapshotRow.intent_digest == IntentRow.digest).exists()
    for digest in connection.scalars(select(IntentRow.digest).where(~used).order_by(IntentRow.digest)):
        yield f"intent {digest} belongs to no snapshot"
    used = select(SnapshotRow.sources_digest).where(SnapshotRow.sources_digest == SourcesRow.digest).exists()
    for digest in connection.scalars(select(SourcesRow.digest).where(~used).order_by(SourcesRow.digest)):
        yield f"list of sources {digest} belongs to no snapshot"
    used = select(RecordRow.document_digest).where(RecordRow.document_digest == DocumentRow.digest).exists()
    for digest in connection.scalars(select(DocumentRow.digest).where(~used).order_by(DocumentRow.digest)):
        yield f"document {digest} belongs to no record"


def _missing(connection: Connection) -> Iterator[str]:
    """What is named and not there. The databases watch over that, too, for everybody who does not tell them not to."""
    for named, table, what in (
        (IntervalRow.digest, ObjectRow, "object"),
        (SnapshotRow.intent_digest, IntentRow, "intent"),
        (SnapshotRow.sources_digest, SourcesRow, "list of sources"),
        (RecordRow.document_digest, DocumentRow, "document"),
    ):
        query = select(named).where(named.is_not(None), ~select(table.digest).where(table.digest == named).exists())
        for digest in connection.scalars(query.distinct().order_by(named)):
            yield f"{what} {digest} was removed"
