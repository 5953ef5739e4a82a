"""Snapshots into the store, whole or not at all, and the record of runs that failed."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from evidence.cluster.objects import Collection
from evidence.errors import CollectError, EvidenceError, SpooledError, StoreError
from evidence.log.entries import TreeHead
from evidence.pipeline.claims import refuse_backdating
from evidence.pipeline.sources import FileSource, LiveSource, read_intent, read_source, run_info, source_location
from evidence.pipeline.spooling import enter, enter_failed_run, take_in

if TYPE_CHECKING:
    from evidence.store import SnapshotInfo
    from evidence.store.spool import Spool


@dataclass(frozen=True, slots=True)
class Stored:
    """What `collect_snapshot` left in the store. `shortfalls` names what is missing from it, one sentence each; `log`: the store's log since.

    `behind`: earlier snapshots wait in the spool, or were set aside.
    """

    info: "SnapshotInfo"
    new_objects: int
    shortfalls: tuple[str, ...]
    log: TreeHead
    behind: bool = False

    def __str__(self) -> str:
        count = self.info.object_count
        objects = "1 object" if count == 1 else f"{count} objects"
        stored = f"snapshot {self.info.id} of {self.info.cluster}: {objects}, {self.new_objects} new"
        return f"{stored}, root {self.info.root_digest[:16]}; log of {self.log.size}, head {self.log.root}"


def collect_snapshot(
    db: str,
    source: FileSource | LiveSource,
    *,
    cluster: str | None,
    taken_at: datetime | None,
    received_at: datetime,
    intent_path: Path | None,
    keep_going: bool,
    command: str = "collect",
    clock: Callable[[], datetime] | None = None,
    record_failure: bool = False,
    spool: "Spool | None" = None,
    note: Callable[[str], None] = lambda _: None,
) -> Stored:
    """Read one source and store it whole, or raise and store nothing of it. `taken_at` None: taken now, by us.

    `clock` tells when the run ended. `record_failure`: a run that fails is recorded under `cluster`, so that the gap has its reason. `spool`: where
    a snapshot waits that the store does not take; what waits there is taken in first, and `note` is told of it. Raises SpooledError when
    this one waits. Without a spool a store that cannot be written fails before anything is read.
    """
    from evidence.store import NewFailedRun, NewSnapshot, Store

    timer = clock or (lambda: received_at)
    behind = False
    if spool is None:
        Store.open(db).close()
    else:
        with suppress(StoreError):  # the cluster is read all the same, and the store asked again after that
            behind = not take_in(db, spool, timer, note)
    try:
        intent = read_intent(intent_path)
        collection, own_name = read_source(source, keep_going=keep_going)
        name = cluster or own_name
        if not name:
            raise CollectError("the cluster has no name here; give one with --cluster NAME")
        if taken_at is not None:
            refuse_backdating(collection.objects, taken_at)
        new = NewSnapshot(
            cluster=name,
            taken_at=taken_at or received_at,
            taken_at_claimed=taken_at is not None,
            received_at=received_at,
            collection=collection,
            intent=intent,
            run=run_info(command, collection.source.location, collection.source.identity),
            finished_at=max(timer(), received_at),
        )
        entered = enter(db, spool, new, timer, note)
    except SpooledError:
        raise
    except BaseException as error:
        if record_failure and cluster:
            with suppress(EvidenceError):  # what went wrong first is what is said
                message = str(error) or type(error).__name__
                run = run_info(command, source_location(source))
                enter_failed_run(db, spool, NewFailedRun(cluster, received_at, timer(), message, run))
        raise
    return Stored(entered.info, entered.new_objects, shortfalls(collection), entered.log, behind or entered.behind)


def shortfalls(collection: Collection) -> tuple[str, ...]:
    """One sentence for each thing that is known to be missing from a collection."""
    from evidence.cluster.objects import KindStatus

    kinds = tuple(
        f"{kind.kind}: {kind.status.value}{': ' + kind.message if kind.message else ''}"
        for kind in collection.kinds
        if kind.status in (KindStatus.FORBIDDEN, KindStatus.FAILED)
    )
    return kinds + tuple(f"{problem.where}: {problem.message}" for problem in collection.problems)


def record_failed_run(
    db: str, spool: "Spool", *, cluster: str, command: str, started_at: datetime, finished_at: datetime, message: str
) -> None:
    """Record an execution that failed after its snapshot was stored, such as a report that could not be made."""
    from evidence.store import NewFailedRun

    run = run_info(command, spool.store)
    enter_failed_run(db, spool, NewFailedRun(cluster, started_at, finished_at, message, run))


def snapshot_counts(db: str, cluster: str, spans: Sequence[tuple[datetime, datetime]]) -> tuple[int, ...]:
    """How many snapshots the store holds of each span of time, its end exclusive."""
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        return tuple(len(store.snapshots(cluster, start, end)) for start, end in spans)
