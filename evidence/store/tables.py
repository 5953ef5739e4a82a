"""The tables, as typed mappings; `migrations/` makes the same ones (a test compares them).

    clusters      one row a cluster
    objects       canonical JSON of each object version, once, by SHA-256
    intents       each version of the owner's intent file, by SHA-256
    sources       each list of where a snapshot's objects were read, by SHA-256
    snapshots     one row a snapshot: header, root digest, result of each kind, chain of custody
    intervals     which version of which object was there, from one snapshot to before another
    failed_runs   executions that left no snapshot
    documents     canonical JSON of what each record says, by SHA-256
    records       one row a probe run or imported log: its period, digest and chain of custody
    retention_acts  prunes, legal holds and their release: who decided what, when and why
    dropped       what each prune dropped, by digest
    log_entries   one row for each of the above and each pack, in the order in which they came in (evidence/log)
    log_subtrees  hashes of whole subtrees of that log, each of which follows from its entries
    checkpoints   signed heads of that log

Content is an interval over snapshots in the order of their entry, not of their times (docs/decisions/0005). Nothing is ever
updated but `intervals.end_id`, which is set once, and bodies, which a prune drops. Digests are 32 bytes, times are UTC.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    TypeDecorator,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Utc(TypeDecorator[datetime]):
    """An aware time, kept in UTC with microseconds; SQLite has no zones, so it gets the bare time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Digest(TypeDecorator[str]):
    """A SHA-256 in lower-case hex, kept as its 32 bytes."""

    impl = LargeBinary(32)
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> bytes | None:
        return None if value is None else bytes.fromhex(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else bytes(value).hex()


Id = BigInteger().with_variant(Integer(), "sqlite")  # only an INTEGER primary key counts up by itself in SQLite

WITHOUT_ROWID = {"sqlite_with_rowid": False}  # SQLite then keeps rows in the order of their primary key


class Base(DeclarativeBase):
    pass


class ClusterRow(Base):
    __tablename__ = "clusters"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String, unique=True)


class ObjectRow(Base):
    """`body` is None once retention has dropped it; the digest stays."""

    __tablename__ = "objects"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


class IntentRow(Base):
    __tablename__ = "intents"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


class SourcesRow(Base):
    __tablename__ = "sources"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


class SnapshotRow(Base):
    """`details`: source, kinds and problems, packed (see content.py); `content`: hash over the objects."""

    __tablename__ = "snapshots"
    __table_args__ = (
        Index("ix_snapshots_cluster_taken", "cluster_id", "taken_at"),
        {"sqlite_autoincrement": True},  # a number is never given out twice
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    cluster_id: Mapped[int] = mapped_column(Id, ForeignKey("clusters.id"))
    taken_at: Mapped[datetime] = mapped_column(Utc)
    taken_at_claimed: Mapped[bool]
    received_at: Mapped[datetime] = mapped_column(Utc)
    started_at: Mapped[datetime] = mapped_column(Utc)
    finished_at: Mapped[datetime] = mapped_column(Utc)
    root_digest: Mapped[str] = mapped_column(Digest)
    content: Mapped[str] = mapped_column(Digest)
    object_count: Mapped[int] = mapped_column(Integer)
    partial: Mapped[bool]
    intent_digest: Mapped[str | None] = mapped_column(Digest, ForeignKey("intents.digest"))
    sources_digest: Mapped[str] = mapped_column(Digest, ForeignKey("sources.digest"))
    details: Mapped[bytes] = mapped_column(LargeBinary)
    software_version: Mapped[str] = mapped_column(String)
    host: Mapped[str] = mapped_column(String)
    identity: Mapped[str] = mapped_column(String)
    command: Mapped[str] = mapped_column(String)
    configuration_digest: Mapped[str] = mapped_column(String)


class IntervalRow(Base):
    """One version of one object from snapshot `first_id` to before snapshot `end_id`; None while it is still there."""

    __tablename__ = "intervals"
    __table_args__ = (
        Index(
            "ix_intervals_open",
            "cluster_id",
            sqlite_where=text("end_id IS NULL"),
            postgresql_where=text("end_id IS NULL"),
        ),
        Index("ix_intervals_digest", "digest"),
        CheckConstraint("end_id > first_id", name="ends_after_it_begins"),
        WITHOUT_ROWID,
    )

    cluster_id: Mapped[int] = mapped_column(Id, ForeignKey("clusters.id"), primary_key=True)
    group: Mapped[str] = mapped_column(String, primary_key=True)
    kind: Mapped[str] = mapped_column(String, primary_key=True)
    namespace: Mapped[str] = mapped_column(String, primary_key=True)
    name: Mapped[str] = mapped_column(String, primary_key=True)
    first_id: Mapped[int] = mapped_column(Id, ForeignKey("snapshots.id"), primary_key=True)
    end_id: Mapped[int | None] = mapped_column(Id, ForeignKey("snapshots.id"))
    digest: Mapped[str] = mapped_column(Digest, ForeignKey("objects.digest"))


class FailedRunRow(Base):
    __tablename__ = "failed_runs"
    __table_args__ = (
        Index("ix_failed_runs_cluster_started", "cluster_id", "started_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    cluster_id: Mapped[int] = mapped_column(Id, ForeignKey("clusters.id"))
    started_at: Mapped[datetime] = mapped_column(Utc)
    finished_at: Mapped[datetime] = mapped_column(Utc)
    message: Mapped[str] = mapped_column(String)
    software_version: Mapped[str] = mapped_column(String)
    host: Mapped[str] = mapped_column(String)
    identity: Mapped[str] = mapped_column(String)
    command: Mapped[str] = mapped_column(String)
    configuration_digest: Mapped[str] = mapped_column(String)


class DocumentRow(Base):
    __tablename__ = "documents"

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)


class RecordRow(Base):
    """`record_digest` covers the rest of the row but its number, and through `document_digest` the document."""

    __tablename__ = "records"
    __table_args__ = (
        Index("ix_records_cluster_kind_starts", "cluster_id", "kind", "starts_at"),
        CheckConstraint("ends_at >= starts_at", name="ends_at_or_after_its_start"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    cluster_id: Mapped[int] = mapped_column(Id, ForeignKey("clusters.id"))
    kind: Mapped[str] = mapped_column(String)
    starts_at: Mapped[datetime] = mapped_column(Utc)
    ends_at: Mapped[datetime] = mapped_column(Utc)
    taken_in_at: Mapped[datetime] = mapped_column(Utc)
    document_digest: Mapped[str] = mapped_column(Digest, ForeignKey("documents.digest"))
    record_digest: Mapped[str] = mapped_column(Digest)
    software_version: Mapped[str] = mapped_column(String)
    host: Mapped[str] = mapped_column(String)
    identity: Mapped[str] = mapped_column(String)
    command: Mapped[str] = mapped_column(String)
    configuration_digest: Mapped[str] = mapped_column(String)


class RetentionRow(Base):
    """`statement`: canonical JSON of what was decided, by `kind`; `act_digest` covers the rest of the row but its number (retention.py)."""

    __tablename__ = "retention_acts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String)
    made_at: Mapped[datetime] = mapped_column(Utc)
    statement: Mapped[str] = mapped_column(String)
    act_digest: Mapped[str] = mapped_column(Digest)
    software_version: Mapped[str] = mapped_column(String)
    host: Mapped[str] = mapped_column(String)
    identity: Mapped[str] = mapped_column(String)
    command: Mapped[str] = mapped_column(String)
    configuration_digest: Mapped[str] = mapped_column(String)


class DroppedRow(Base):
    """Something whose content a prune dropped: a body by its digest, or a snapshot or record (by its own digest) that needs such bodies."""

    __tablename__ = "dropped"
    __table_args__ = (Index("ix_dropped_prune", "prune_id"), WITHOUT_ROWID)

    digest: Mapped[str] = mapped_column(Digest, primary_key=True)
    kind: Mapped[str] = mapped_column(String, primary_key=True)
    prune_id: Mapped[int] = mapped_column(Id, ForeignKey("retention_acts.id"), primary_key=True)


class LogEntryRow(Base):
    """Positions count from 0 without a gap. `digest` is that of the thing itself, see evidence/log/entries.py.

    `row_id`: its number in its own table; None for a pack, which is kept elsewhere. `cluster_id`: None for what concerns the whole store.
    """

    __tablename__ = "log_entries"

    position: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(String)
    cluster_id: Mapped[int | None] = mapped_column(Id, ForeignKey("clusters.id"))
    row_id: Mapped[int | None] = mapped_column(Id)
    digest: Mapped[str] = mapped_column(Digest)


class SubtreeRow(Base):
    """`hash` is over the 2 to the power of `height` entries from position `number` times that on (evidence/log/tree.py)."""

    __tablename__ = "log_subtrees"
    __table_args__ = (WITHOUT_ROWID,)

    height: Mapped[int] = mapped_column(Integer, primary_key=True)
    number: Mapped[int] = mapped_column(Id, primary_key=True)
    hash: Mapped[str] = mapped_column(Digest)


class CheckpointRow(Base):
    """`note` is the signed text, which also holds the size. Numbers count from 0 without a gap."""

    __tablename__ = "checkpoints"

    number: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=False)
    note: Mapped[str] = mapped_column(String, unique=True)


TABLES = frozenset(Base.metadata.tables)
