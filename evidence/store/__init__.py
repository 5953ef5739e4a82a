"""The append-only history: SQLite or Postgres by URL, objects once by digest, snapshots as intervals over them."""

from evidence.store.snapshots import Store, migrate_store
from evidence.store.values import NewSnapshot, RunInfo, RunRecord, SnapshotInfo, StoredSnapshot

__all__ = ["NewSnapshot", "RunInfo", "RunRecord", "SnapshotInfo", "Store", "StoredSnapshot", "migrate_store"]
