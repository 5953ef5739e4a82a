"""The append-only history: SQLite or Postgres by URL, objects once by digest, snapshots as intervals over them; records beside them."""

from evidence.store.prune import PrunePlan
from evidence.store.read import collection_of
from evidence.store.retention import Hold, NewHold, Prune, Term
from evidence.store.snapshots import Store, migrate_store
from evidence.store.values import (
    LogPlace,
    NewFailedRun,
    NewRecord,
    NewSnapshot,
    RecordInfo,
    RecordKind,
    RunInfo,
    RunRecord,
    SnapshotHeader,
    SnapshotInfo,
    SnapshotOutline,
    StoredRecord,
    StoredSnapshot,
)

__all__ = [
    "Hold",
    "LogPlace",
    "NewFailedRun",
    "NewHold",
    "NewRecord",
    "NewSnapshot",
    "Prune",
    "PrunePlan",
    "RecordInfo",
    "RecordKind",
    "RunInfo",
    "RunRecord",
    "SnapshotHeader",
    "SnapshotInfo",
    "SnapshotOutline",
    "Store",
    "StoredRecord",
    "StoredSnapshot",
    "Term",
    "collection_of",
    "migrate_store",
]
