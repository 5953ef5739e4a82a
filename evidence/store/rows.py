"""Between rows and values: one place that reads a snapshot's row and checks it against what it claims."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, Select, select

from evidence.store.content import root_digest
from evidence.store.tables import ClusterRow, SnapshotRow
from evidence.store.values import RunInfo, SnapshotInfo

# Any row of this query has the columns that the functions below read.
SNAPSHOTS: Select[Any] = select(*SnapshotRow.__table__.columns, ClusterRow.name.label("cluster")).join_from(
    SnapshotRow, ClusterRow, SnapshotRow.cluster_id == ClusterRow.id
)


def utc(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} has no time zone")
    return moment.astimezone(UTC)


def storable(text: str) -> str:
    """Text for a column: what no database takes (a zero byte, half a surrogate pair) is written out as an escape."""
    return text.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()


def storable_run(run: RunInfo) -> RunInfo:
    return replace(
        run,
        software_version=storable(run.software_version),
        host=storable(run.host),
        identity=storable(run.identity),
        command=storable(run.command),
        configuration_digest=storable(run.configuration_digest),
    )


def not_in_its_run(taken_at: datetime, claimed: bool, started_at: datetime, finished_at: datetime) -> bool:
    """Whether a snapshot says that its own run took it, at a time at which that run was not."""
    return not claimed and not started_at <= taken_at <= finished_at


def run_info(row: Row[Any]) -> RunInfo:
    return RunInfo(row.software_version, row.host, row.identity, row.command, row.configuration_digest)


def snapshot_info(row: Row[Any]) -> SnapshotInfo:
    return SnapshotInfo(
        id=row.id,
        cluster=row.cluster,
        taken_at=row.taken_at,
        taken_at_claimed=row.taken_at_claimed,
        received_at=row.received_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        root_digest=row.root_digest,
        partial=row.partial,
        object_count=row.object_count,
        intent_digest=row.intent_digest or "",
        run=run_info(row),
    )


def root_of(info: SnapshotInfo, details: bytes, sources_digest: str, content: bytes) -> str:
    """The root digest that a snapshot with this header, these details, this list of sources and this content hash must have."""
    return root_digest(
        cluster=info.cluster,
        taken_at=info.taken_at,
        taken_at_claimed=info.taken_at_claimed,
        received_at=info.received_at,
        started_at=info.started_at,
        finished_at=info.finished_at,
        run=info.run,
        details=details,
        intent_digest=info.intent_digest,
        sources_digest=sources_digest,
        object_count=info.object_count,
        content=content,
    )
