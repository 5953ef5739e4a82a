"""Small builders for what goes into a store."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from evidence.cluster.objects import (
    CollectedObject,
    Collection,
    KindResult,
    KindStatus,
    ObjectKey,
    Problem,
    SourceInfo,
)
from evidence.log.entries import EntryKind
from evidence.store import NewSnapshot, RunInfo, Store, log, subtrees
from evidence.store.database import writing
from evidence.store.spool import Spool, spool_of
from evidence.store.write import cluster_number

NOON = datetime(2026, 7, 1, 12, tzinfo=UTC)
RUN = RunInfo("0.1.0", "host-1", "alice", "collect", "ab" * 32)
SOURCE = SourceInfo("api", "https://api.example:6443", "alice", "v1.34.0", "0f0e")
LISTED = KindResult("", "Pod", KindStatus.LISTED, 2, "1001")
FORBIDDEN = KindResult("", "Node", KindStatus.FORBIDDEN, message="no right to list nodes")


def hours(number: float) -> datetime:
    """So many hours after noon."""
    return NOON + timedelta(hours=number)


def item(
    name: str, *, namespace: str = "shop", kind: str = "Pod", source: str = "/api/v1/pods", **body: Any
) -> CollectedObject:
    return CollectedObject.of(ObjectKey("", kind, namespace, name), {"metadata": {"name": name}, **body}, source)


def collection(
    *objects: CollectedObject, kinds: Iterable[KindResult] = (LISTED,), problems: Iterable[Problem] = ()
) -> Collection:
    return Collection(SOURCE, tuple(sorted(objects, key=lambda obj: obj.key)), tuple(kinds), tuple(problems))


def snapshot(
    *objects: CollectedObject, at: datetime = NOON, cluster: str = "prod", intent: bytes | None = None
) -> NewSnapshot:
    return of(collection(*objects), at=at, cluster=cluster, intent=intent)


def of(content: Collection, *, at: datetime = NOON, cluster: str = "prod", intent: bytes | None = None) -> NewSnapshot:
    return NewSnapshot(cluster, at, False, at, content, intent, RUN)


def lengthen(store: Store, size: int, cluster: str = "prod") -> None:
    """Enter packs into the log until it has so many entries, in one transaction."""
    with writing(store._engine, store.url, f"cluster/{cluster}", 5) as connection:
        number = cluster_number(connection, cluster)
        for position in range(subtrees.size(connection), size):
            log.append(connection, EntryKind.PACK, number, None, f"{position:064x}")


def beside(db: str) -> Spool:
    """The spool of a store in a file, beside it."""
    return spool_of(db, None, Path("/nowhere"))
