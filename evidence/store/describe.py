"""What a store holds, in numbers."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, select, text

from evidence.store.schema import VERSION_TABLE
from evidence.store.tables import (
    TABLES,
    ClusterRow,
    FailedRunRow,
    IntentRow,
    IntervalRow,
    ObjectRow,
    RecordRow,
    SnapshotRow,
)
from evidence.store.values import OBSERVED


@dataclass(frozen=True, slots=True)
class ClusterSummary:
    """`records` counts what was observed, not assessments. Times are of the first and the last snapshot taken, None without any."""

    name: str
    snapshots: int
    partial: int
    failed_runs: int
    records: int
    first_taken_at: datetime | None
    last_taken_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoreDescription:
    """`size` in bytes, of the file or of the tables with their indexes. `objects` counts versions."""

    url: str
    database: str
    schema_version: str
    size: int
    objects: int
    intervals: int
    intents: int
    clusters: tuple[ClusterSummary, ...]


def describe_store(connection: Connection, url: str) -> StoreDescription:
    def count(table: type[ObjectRow] | type[IntervalRow] | type[IntentRow]) -> int:
        return connection.scalar(select(func.count()).select_from(table)) or 0

    version = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608  (a constant)
    sqlite = connection.dialect.name == "sqlite"
    return StoreDescription(
        url=url,
        database="SQLite" if sqlite else "Postgres",
        schema_version=str(version),
        size=_sqlite_size(connection) if sqlite else _postgres_size(connection),
        objects=count(ObjectRow),
        intervals=count(IntervalRow),
        intents=count(IntentRow),
        clusters=tuple(
            _cluster(connection, number, name)
            for number, name in connection.execute(
                select(ClusterRow.id, ClusterRow.name).order_by(ClusterRow.name)
            ).all()
        ),
    )


def _cluster(connection: Connection, number: int, name: str) -> ClusterSummary:
    taken = connection.execute(
        select(func.count(), func.min(SnapshotRow.taken_at), func.max(SnapshotRow.taken_at)).where(
            SnapshotRow.cluster_id == number
        )
    ).one()
    partial = connection.scalar(
        select(func.count()).where(SnapshotRow.cluster_id == number, SnapshotRow.partial.is_(True))
    )
    failed = connection.scalar(select(func.count()).where(FailedRunRow.cluster_id == number))
    observed = RecordRow.kind.in_([kind.value for kind in OBSERVED])
    records = connection.scalar(select(func.count()).where(RecordRow.cluster_id == number, observed))
    return ClusterSummary(name, taken[0], partial or 0, failed or 0, records or 0, taken[1], taken[2])


def _sqlite_size(connection: Connection) -> int:
    pages = connection.scalar(text("PRAGMA page_count")) or 0
    return int(pages * (connection.scalar(text("PRAGMA page_size")) or 0))


def _postgres_size(connection: Connection) -> int:
    size = text("SELECT pg_total_relation_size(CAST(:name AS regclass))")
    return sum(connection.scalar(size, {"name": name}) or 0 for name in sorted(TABLES))
