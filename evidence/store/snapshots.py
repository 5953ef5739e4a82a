"""The store as everybody else sees it: open, add a snapshot, find one by time, read it back.

Every method is one transaction. Whatever the database says is raised as StoreError, one sentence.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from sqlalchemy import URL, Engine, func, insert, select

from evidence.cluster.objects import CollectedObject
from evidence.errors import StoreError, UsageError
from evidence.log.checkpoint import LogVerifier
from evidence.log.entries import EntryKind, LogEntry, TreeHead
from evidence.log.tree import Tree
from evidence.store import log, subtrees
from evidence.store.changes import Changes, count_changes
from evidence.store.check import CheckResult, check_store
from evidence.store.database import connect, file_of, hidden, parse_url, reading, use_write_ahead_log, writing
from evidence.store.describe import StoreDescription, describe_store
from evidence.store.failures import explained
from evidence.store.identity import refuse_other_cluster
from evidence.store.read import read_header, read_intent, read_outlines, read_snapshot
from evidence.store.records import list_records, prepare_record, read_assessments, read_record, write_record
from evidence.store.retaining import StoreRetention
from evidence.store.rows import SNAPSHOTS, run_info, snapshot_info, storable, storable_run, utc
from evidence.store.schema import Condition, migrate, read_schema, require_current
from evidence.store.tables import ClusterRow, FailedRunRow, ObjectRow, SnapshotRow
from evidence.store.values import (
    OBSERVED,
    LogPlace,
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
from evidence.store.write import cluster_number, prepare, write

if TYPE_CHECKING:
    from evidence.store.portable.export import Exported
    from evidence.store.portable.intake import TakenIn

WAIT_SECONDS = 30.0


class Store:
    """An open store. `url` is for people: no password in it. `retention`: its part that decides what is kept."""

    def __init__(self, engine: Engine, url: URL, wait_seconds: float) -> None:
        self._engine = engine
        self._wait_seconds = wait_seconds
        self.url = hidden(url)
        self.retention = StoreRetention(engine, self.url, wait_seconds)

    @classmethod
    def open(cls, url: str, *, read_only: bool = False, wait_seconds: float = WAIT_SECONDS) -> "Store":
        """Open the store at a database URL or a SQLite path; an empty one gets its tables.

        `read_only`: nothing is made and nothing can be written. Otherwise a store that cannot be written fails here and not an
        hour later. `wait_seconds`: how long to wait for another writer. Raises StoreError.
        """
        parsed = parse_url(url)
        file = file_of(parsed)
        if read_only and file is not None and not file.exists():
            raise StoreError(f"there is no store {hidden(parsed)}; run `evidence collect` first, or give another --db")
        store = cls(connect(parsed, wait_seconds), parsed, wait_seconds)
        try:
            store._make_ready(read_only)
        except BaseException:
            store.close()
            raise
        return store

    def _make_ready(self, read_only: bool) -> None:
        with reading(self._engine, self.url) as connection:
            schema = read_schema(connection)
        if schema.condition is Condition.EMPTY and not read_only:
            migrate(self._engine, self.url, self._wait_seconds)
            return
        require_current(schema, self.url)
        if not read_only:
            with explained(self.url):
                use_write_ahead_log(self._engine)
            with writing(self._engine, self.url, "open", self._wait_seconds):
                pass  # a writer that cannot begin fails now

    def close(self) -> None:
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- write

    def add_snapshot(self, new: NewSnapshot) -> SnapshotInfo:
        """Store a snapshot whole, or raise and leave the store as it was.

        The very same snapshot again (cluster, time, content, intent) adds nothing and gives the first one, so that a run may be repeated.
        Snapshots may come in any order of their times. Raises InputError for what cannot be stored and for a snapshot of another
        cluster than the stored ones of its name (identity.py), StoreError.
        """
        prepared = prepare(new)
        with writing(self._engine, self.url, f"cluster/{prepared.info.cluster}", self._wait_seconds) as connection:
            refuse_other_cluster(connection, prepared.info.cluster, new.collection.source.cluster_uid)
            return write(connection, prepared)

    def add_failed_run(
        self, cluster: str, *, started_at: datetime, finished_at: datetime, message: str, run: RunInfo
    ) -> None:
        """Record an execution that left no snapshot, so that the gap has its reason; the very same again adds nothing. Raises StoreError."""
        custody = storable_run(run)
        started_at, finished_at, message = utc(started_at), utc(finished_at), storable(message)
        with writing(self._engine, self.url, f"cluster/{cluster}", self._wait_seconds) as connection:
            cluster_id = cluster_number(connection, cluster)
            values = {
                "cluster_id": cluster_id,
                "started_at": started_at,
                "finished_at": finished_at,
                "message": message,
                "software_version": custody.software_version,
                "host": custody.host,
                "identity": custody.identity,
                "command": custody.command,
                "configuration_digest": custody.configuration_digest,
            }
            if connection.scalar(select(FailedRunRow.id).filter_by(**values)) is not None:
                return
            number = connection.scalar(insert(FailedRunRow).values(**values).returning(FailedRunRow.id))
            digest = log.failed_run_digest(cluster, started_at, finished_at, message, custody)
            log.append(connection, EntryKind.FAILED_RUN, cluster_id, number, digest)

    def add_record(self, new: NewRecord) -> RecordInfo:
        """Store what a probe run or an imported log saw, whole, or raise and leave the store as it was.

        The very same record again (cluster, kind, period, document) adds nothing and gives the first one. Raises InputError for what
        cannot be stored, StoreError.
        """
        prepared = prepare_record(new)
        with writing(self._engine, self.url, f"cluster/{prepared.info.cluster}", self._wait_seconds) as connection:
            return write_record(connection, prepared)

    def add_assessments(self, new: Sequence[NewRecord]) -> None:
        """Store what was assessed of snapshots of one cluster, all or nothing; like `add_record` otherwise."""
        prepared = [prepare_record(each) for each in new]
        if not prepared:
            return
        with writing(self._engine, self.url, f"cluster/{prepared[0].info.cluster}", self._wait_seconds) as connection:
            for each in prepared:
                write_record(connection, each)

    def add_pack(self, cluster: str, digest: str) -> None:
        """Enter into the log that a pack was made; `digest` is the hex SHA-256 of its SHA256SUMS. Raises StoreError."""
        with writing(self._engine, self.url, f"cluster/{cluster}", self._wait_seconds) as connection:
            log.append(connection, EntryKind.PACK, cluster_number(connection, cluster), None, digest)

    def add_checkpoint(self, note: str) -> None:
        """Keep a signed head of the log. Raises StoreError."""
        with writing(self._engine, self.url, "checkpoints", self._wait_seconds) as connection:
            log.add_checkpoint(connection, note)

    # -- find

    def log_entries(self) -> tuple[LogEntry, ...]:
        """The whole log, in its order."""
        with reading(self._engine, self.url) as connection:
            return tuple(subtrees.entries(connection))

    def log_head(self, *, to_sign: bool = False) -> TreeHead:
        """The log's size and root, without reading all of it where that can be trusted, see subtrees.py. `to_sign`: it will be signed."""
        with self.log_tree(to_sign=to_sign) as tree:
            return TreeHead(tree.size, tree.root().hex())

    @contextmanager
    def log_tree(self, *, to_sign: bool = False) -> Iterator[Tree]:
        """The log's tree as it is at one moment, which can be asked for heads and proofs while the context lasts."""
        with reading(self._engine, self.url) as connection:
            yield subtrees.log_tree(connection, to_sign=to_sign)

    def log_places(self, kind: EntryKind, cluster: str) -> dict[str, int]:
        """Where the things of one kind and cluster stand in the log, by the digest that the log has of them."""
        with reading(self._engine, self.url) as connection:
            return log.places(connection, kind, cluster)

    def log_place(self, kind: EntryKind, digest: str) -> LogPlace:
        """Where a thing stands in the log, by the digest that the log has of it."""
        with reading(self._engine, self.url) as connection:
            return log.place(connection, kind, digest)

    def log_size(self) -> int:
        """How many entries the log has."""
        with reading(self._engine, self.url) as connection:
            return subtrees.size(connection)

    def newest_checkpoint(self) -> str | None:
        """The checkpoint that was kept last; None when none ever was."""
        with reading(self._engine, self.url) as connection:
            return subtrees.newest_checkpoint(connection)

    def clusters(self) -> tuple[str, ...]:
        """Names of the clusters that have a snapshot, sorted."""
        with reading(self._engine, self.url) as connection:
            names = connection.scalars(
                select(ClusterRow.name).where(ClusterRow.id.in_(select(SnapshotRow.cluster_id))).distinct()
            )
            return tuple(sorted(names))

    def latest(self, cluster: str, at: datetime | None = None) -> SnapshotInfo:
        """The snapshot taken last, at or before `at` if given. Of two taken at one time the one entered last. Raises UsageError."""
        every = SNAPSHOTS.where(ClusterRow.name == cluster)
        query = every.where(SnapshotRow.taken_at <= utc(at)) if at is not None else every
        with reading(self._engine, self.url) as connection:
            row = connection.execute(
                query.order_by(SnapshotRow.taken_at.desc(), SnapshotRow.id.desc()).limit(1)
            ).first()
            oldest = None
            if row is None and at is not None:
                oldest = connection.execute(every.order_by(SnapshotRow.taken_at, SnapshotRow.id).limit(1)).first()
        if row is None:
            when = f" at or before {utc(at):%Y-%m-%d %H:%M:%S} UTC" if at else ""
            hint = "give another time or --cluster"
            if oldest is not None:
                hint = f"the oldest was taken {oldest.taken_at:%Y-%m-%d %H:%M:%S} UTC: give that time or a later one"
            raise UsageError(f"the store {self.url} holds no snapshot of {cluster}{when}; {hint}")
        return snapshot_info(row)

    def snapshots(self, cluster: str, start: datetime, end: datetime) -> tuple[SnapshotInfo, ...]:
        """Those taken from `start` to before `end`, oldest first."""
        query = SNAPSHOTS.where(
            ClusterRow.name == cluster, SnapshotRow.taken_at >= utc(start), SnapshotRow.taken_at < utc(end)
        ).order_by(SnapshotRow.taken_at, SnapshotRow.id)
        with reading(self._engine, self.url) as connection:
            return tuple(snapshot_info(row) for row in connection.execute(query))

    def newest(self, cluster: str, count: int, skip: int = 0) -> tuple[SnapshotInfo, ...]:
        """At most `count` snapshots, newest first, after leaving out the newest `skip`."""
        query = (
            SNAPSHOTS.where(ClusterRow.name == cluster)
            .order_by(SnapshotRow.taken_at.desc(), SnapshotRow.id.desc())
            .limit(count)
            .offset(skip)
        )
        with reading(self._engine, self.url) as connection:
            return tuple(snapshot_info(row) for row in connection.execute(query))

    def next_after(self, cluster: str, moment: datetime) -> SnapshotInfo | None:
        """The first snapshot taken after a time; None when there is none."""
        query = (
            SNAPSHOTS.where(ClusterRow.name == cluster, SnapshotRow.taken_at > utc(moment))
            .order_by(SnapshotRow.taken_at, SnapshotRow.id)
            .limit(1)
        )
        with reading(self._engine, self.url) as connection:
            row = connection.execute(query).first()
        return snapshot_info(row) if row is not None else None

    def outlines(self, cluster: str, start: datetime, end: datetime) -> tuple[SnapshotOutline, ...]:
        """Those of `snapshots` with what tells whether they hold the same objects, so that only those that differ need to be read.

        Raises StoreError where one is not what was stored, as far as its objects are not concerned.
        """
        with reading(self._engine, self.url) as connection:
            try:
                return tuple(read_outlines(connection, cluster, utc(start), utc(end)))
            except StoreError as error:
                raise StoreError(f"the store {self.url}: {error}") from error

    def runs(self, cluster: str, start: datetime, end: datetime) -> tuple[RunRecord, ...]:
        """The runs that gave the snapshots of a period, and those that began in it and failed; in the order of their start."""
        stored = [
            RunRecord(
                cluster,
                info.started_at,
                info.finished_at,
                "stored",
                "partial" if info.partial else "",
                info.id,
                info.run,
            )
            for info in self.snapshots(cluster, start, end)
        ]
        return tuple(sorted([*stored, *self.failed_runs(cluster, start, end)], key=lambda run: run.started_at))

    def failed_runs(self, cluster: str, start: datetime, end: datetime) -> tuple[RunRecord, ...]:
        """The runs that began in a period and left no snapshot, in the order of their start."""
        query = (
            select(*FailedRunRow.__table__.columns)
            .join_from(FailedRunRow, ClusterRow, FailedRunRow.cluster_id == ClusterRow.id)
            .where(
                ClusterRow.name == cluster, FailedRunRow.started_at >= utc(start), FailedRunRow.started_at < utc(end)
            )
            .order_by(FailedRunRow.started_at, FailedRunRow.id)
        )
        with reading(self._engine, self.url) as connection:
            return tuple(
                RunRecord(cluster, row.started_at, row.finished_at, "failed", row.message, None, run_info(row))
                for row in connection.execute(query)
            )

    def records(
        self, cluster: str, start: datetime, end: datetime, kind: RecordKind | None = None
    ) -> tuple[RecordInfo, ...]:
        """Those that saw any of the time from `start` to before `end`, in the order of their start: of one kind, or all but assessments."""
        with reading(self._engine, self.url) as connection:
            return list_records(connection, cluster, start, end, OBSERVED if kind is None else (kind,))

    def assessments(self, cluster: str, start: datetime, end: datetime, software: str) -> Iterator[StoredRecord]:
        """What was assessed of snapshots taken from `start` to before `end` by software of this digest, in the order of their time and entry.

        Raises StoreError when anything is not what was stored.
        """
        with reading(self._engine, self.url) as connection:
            try:
                yield from read_assessments(connection, cluster, start, end, software)
            except StoreError as error:
                raise StoreError(
                    f"the store {self.url}: a kept assessment cannot be taken: {error}; `evidence history --afresh` does without them"
                ) from error

    def changes(self, cluster: str, pairs: Sequence[tuple[int, int]]) -> tuple[Changes, ...]:
        """For each pair of snapshots of a cluster, by their numbers, what became of the objects of the first one in the second one."""
        with reading(self._engine, self.url) as connection:
            return count_changes(connection, cluster, pairs)

    def intent(self, digest: str) -> bytes:
        """An intent file by its digest. Raises StoreError when it is not there, or not what was stored."""
        with reading(self._engine, self.url) as connection:
            try:
                return read_intent(connection, digest)
            except StoreError as error:
                raise StoreError(f"intent file {digest[:16]} in the store {self.url}: {error}") from error

    def object_count(self) -> int:
        """How many object versions the store holds, over all clusters."""
        with reading(self._engine, self.url) as connection:
            return connection.scalar(select(func.count()).select_from(ObjectRow)) or 0

    # -- the store as a whole

    def check(self, verifiers: Sequence[LogVerifier] = (), kept: Sequence[str] = ()) -> CheckResult:
        """Recompute every digest, every root and the log, see check.py and log.py.

        `verifiers`: the keys by which the log's checkpoints have to be signed; `kept`: checkpoints that were kept outside the store.
        """
        with reading(self._engine, self.url) as connection:
            return check_store(connection, tuple(verifiers), tuple(kept))

    def export_to(self, file: IO[bytes], sign: Callable[[TreeHead], str | None]) -> "Exported":
        """Write it as one file that any store can be made from, see portable/. `sign` gives a checkpoint of the log's head, None without a key."""
        from evidence.store.portable.export import export_store

        with reading(self._engine, self.url) as connection:
            return export_store(connection, file, sign)

    def import_from(
        self, file: IO[bytes], verifiers: Sequence[LogVerifier] = (), kept: Sequence[str] = ()
    ) -> "TakenIn":
        """Take in what `export_to` wrote, into this store, which must be empty: whole and verified, or not at all.

        `verifiers`: by one of these the log's head has to be signed, none to leave signatures alone; `kept`: as for `check`.
        Raises InputError, which names the place, for anything that is not as it was exported.
        """
        from evidence.store.portable.intake import import_store

        with writing(self._engine, self.url, "import", self._wait_seconds, alone=True) as connection:
            try:
                return import_store(connection, file, verifiers, kept)
            except StoreError as error:
                raise StoreError(f"the store {self.url}: {error}") from error

    def describe(self) -> StoreDescription:
        """What it holds, in numbers."""
        with reading(self._engine, self.url) as connection:
            return describe_store(connection, self.url)

    # -- read

    def read(self, snapshot_id: int, like: Sequence[CollectedObject] = ()) -> StoredSnapshot:
        """A snapshot with its content. Raises StoreError when there is none, or when it is not what was stored.

        `like`: the objects of another snapshot, read before. Those that are in this one as they were are given as they are.
        """
        with reading(self._engine, self.url) as connection:
            try:
                return read_snapshot(connection, snapshot_id, like)
            except StoreError as error:
                raise StoreError(f"snapshot {snapshot_id} in the store {self.url}: {error}") from error

    def header(self, snapshot_id: int) -> SnapshotHeader | None:
        """A snapshot without its objects; None when there is none. Raises StoreError when it is not what was stored."""
        with reading(self._engine, self.url) as connection:
            try:
                return read_header(connection, snapshot_id)
            except StoreError as error:
                raise StoreError(f"snapshot {snapshot_id} in the store {self.url}: {error}") from error

    def read_record(self, record_id: int) -> StoredRecord:
        """A record with its document. Raises StoreError when there is none, or when it is not what was stored."""
        with reading(self._engine, self.url) as connection:
            try:
                return read_record(connection, record_id)
            except StoreError as error:
                raise StoreError(f"record {record_id} in the store {self.url}: {error}") from error


def migrate_store(url: str, *, wait_seconds: float = WAIT_SECONDS) -> tuple[str, str]:
    """Bring a store's tables to this version's, making them if there are none; gives the versions before and after ("" for none)."""
    parsed = parse_url(url)
    engine = connect(parsed, wait_seconds)
    try:
        return migrate(engine, hidden(parsed), wait_seconds)
    finally:
        engine.dispose()
