"""The part of an open store that decides what is kept: prunes, legal holds, and what is gone. Every method is one transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, select

from evidence.store.database import reading, writing
from evidence.store.prune import PrunePlan, plan_prune, prune
from evidence.store.retention import DroppedKind, Hold, NewHold, Prune, Term, add_hold, holds, prunes, release_hold
from evidence.store.rows import utc
from evidence.store.tables import ClusterRow, DroppedRow, RetentionRow, SnapshotRow
from evidence.store.values import RunInfo

_LOCK = "retention"


@dataclass(frozen=True, slots=True)
class PrunedSnapshot:
    """A snapshot whose content a prune dropped."""

    id: int
    taken_at: datetime
    pruned_at: datetime


class StoreRetention:
    """`url` is for people. All methods raise StoreError for what the database says."""

    def __init__(self, engine: Engine, url: str, wait_seconds: float) -> None:
        self._engine = engine
        self._url = url
        self._wait_seconds = wait_seconds

    def plan(self, before: datetime, look_back: timedelta) -> PrunePlan:
        """What a prune would drop now, see prune.py; nothing is written."""
        with reading(self._engine, self._url) as connection:
            return plan_prune(connection, utc(before), look_back)

    def prune(
        self, before: datetime, look_back: timedelta, policy: Sequence[Term], made_at: datetime, run: RunInfo
    ) -> Prune | None:
        """Drop it, as one act of the log; None when there was nothing to drop. No other writer goes on meanwhile."""
        with writing(self._engine, self._url, _LOCK, self._wait_seconds, alone=True) as connection:
            return prune(connection, utc(before), look_back, policy, made_at, run)

    def prunes(self) -> tuple[Prune, ...]:
        """All that were made, oldest first."""
        with reading(self._engine, self._url) as connection:
            return prunes(connection)

    def pruned(self, cluster: str, start: datetime, end: datetime) -> tuple[PrunedSnapshot, ...]:
        """The snapshots taken from `start` to before `end` whose content is gone, oldest first."""
        query = (
            select(SnapshotRow.id, SnapshotRow.taken_at, RetentionRow.made_at)
            .join_from(SnapshotRow, ClusterRow, SnapshotRow.cluster_id == ClusterRow.id)
            .join(DroppedRow, DroppedRow.digest == SnapshotRow.root_digest)
            .join(RetentionRow, RetentionRow.id == DroppedRow.prune_id)
            .where(
                DroppedRow.kind == DroppedKind.SNAPSHOT.value,
                ClusterRow.name == cluster,
                SnapshotRow.taken_at >= utc(start),
                SnapshotRow.taken_at < utc(end),
            )
            .order_by(SnapshotRow.taken_at, SnapshotRow.id)
        )
        with reading(self._engine, self._url) as connection:
            return tuple(PrunedSnapshot(*row) for row in connection.execute(query))

    def holds(self) -> tuple[Hold, ...]:
        """All that ever stood, oldest first."""
        with reading(self._engine, self._url) as connection:
            return holds(connection)

    def add_hold(self, new: NewHold, made_at: datetime, run: RunInfo) -> Hold:
        """Set a hold. Raises InputError and UsageError for one that makes no sense, see retention.py."""
        with writing(self._engine, self._url, _LOCK, self._wait_seconds) as connection:
            return add_hold(connection, new, made_at, run)

    def release_hold(self, number: int, reason: str, made_at: datetime, run: RunInfo) -> Hold:
        """End a hold. Raises UsageError when there is none of that number that stands."""
        with writing(self._engine, self._url, _LOCK, self._wait_seconds) as connection:
            return release_hold(connection, number, reason, made_at, run)
