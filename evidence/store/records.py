"""Records: what a probe run or an imported log saw, and what was assessed, kept beside the snapshots and never changed.

A record's document is canonical JSON by SHA-256, like an object's. The record's own digest is what a log over the store takes as its leaf:

    SHA-256 of "evidence/record/v1", a newline, and the canonical JSON of the header below

The header names the cluster, the kind, the period, when it was taken in, the run, and the document's digest: all that the store says about
a record except its number. A period includes both its ends; a record of one moment has them equal.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select

from evidence.canonical import canonical_json, digest
from evidence.errors import InputError, StoreError
from evidence.log.entries import EntryKind
from evidence.store.content import parse_body, timestamp
from evidence.store.log import append
from evidence.store.read import checked_body
from evidence.store.retention import DroppedKind, refuse_dropped
from evidence.store.rows import run_info, storable_run, utc
from evidence.store.tables import ClusterRow, DocumentRow, DroppedRow, RecordRow
from evidence.store.values import NewRecord, RecordInfo, RecordKind, RunInfo, StoredRecord
from evidence.store.write import cluster_name, cluster_number, insert_once

RECORD_DOMAIN = b"evidence/record/v1\n"

_RECORDS: Select[Any] = select(*RecordRow.__table__.columns, ClusterRow.name.label("cluster")).join_from(
    RecordRow, ClusterRow, RecordRow.cluster_id == ClusterRow.id
)


@dataclass(frozen=True, slots=True)
class PreparedRecord:
    """A record ready to be written. `info` has everything but its number."""

    info: RecordInfo
    document: bytes


def prepare_record(new: NewRecord) -> PreparedRecord:
    """Raises InputError for a document that has no canonical form and for a period that ends before it begins."""
    starts_at, ends_at = utc(new.starts_at), utc(new.ends_at)
    if ends_at < starts_at:
        raise InputError(f"a {new.kind} from {timestamp(starts_at)} cannot end before that, at {timestamp(ends_at)}")
    document = canonical_json(new.document)
    info = RecordInfo(
        id=0,
        cluster=cluster_name(new.cluster),
        kind=new.kind,
        starts_at=starts_at,
        ends_at=ends_at,
        taken_in_at=utc(new.taken_in_at),
        document_digest=digest(document),
        digest="",
        run=storable_run(new.run),
    )
    return PreparedRecord(replace(info, digest=record_digest(info)), document)


def record_digest(info: RecordInfo) -> str:
    """Hex digest of the record that has this header."""
    return _digest(
        info.cluster,
        info.kind.value,
        (info.starts_at, info.ends_at, info.taken_in_at),
        info.run,
        info.document_digest,
    )


def _digest(
    cluster: str, kind: str, times: tuple[datetime, datetime, datetime], run: RunInfo, document_digest: str
) -> str:
    starts_at, ends_at, taken_in_at = map(timestamp, times)
    header = {
        "cluster": cluster,
        "kind": kind,
        "starts_at": starts_at,
        "ends_at": ends_at,
        "taken_in_at": taken_in_at,
        "run": {
            "software_version": run.software_version,
            "host": run.host,
            "identity": run.identity,
            "command": run.command,
            "configuration_digest": run.configuration_digest,
        },
        "document": document_digest,
    }
    return hashlib.sha256(RECORD_DOMAIN + canonical_json(header)).hexdigest()


def write_record(connection: Connection, prepared: PreparedRecord) -> RecordInfo:
    """Write it; the caller commits. The very same record (kind, period, document) is not written twice: the first one is given."""
    info = prepared.info
    cluster_id = cluster_number(connection, info.cluster)
    there = connection.execute(
        _RECORDS.where(
            RecordRow.cluster_id == cluster_id,
            RecordRow.kind == info.kind.value,
            RecordRow.starts_at == info.starts_at,
            RecordRow.ends_at == info.ends_at,
            RecordRow.document_digest == info.document_digest,
        ).order_by(RecordRow.id)
    ).first()
    if there is not None:
        return _info(there)
    insert_once(connection, DocumentRow, {info.document_digest: prepared.document})
    number: int | None = connection.scalar(
        insert(RecordRow)
        .values(
            cluster_id=cluster_id,
            kind=info.kind.value,
            starts_at=info.starts_at,
            ends_at=info.ends_at,
            taken_in_at=info.taken_in_at,
            document_digest=info.document_digest,
            record_digest=info.digest,
            software_version=info.run.software_version,
            host=info.run.host,
            identity=info.run.identity,
            command=info.run.command,
            configuration_digest=info.run.configuration_digest,
        )
        .returning(RecordRow.id)
    )
    assert number is not None  # noqa: S101  (INSERT … RETURNING gives a row)
    append(connection, EntryKind.RECORD, cluster_id, number, info.digest)
    return replace(info, id=number)


def list_records(
    connection: Connection, cluster: str, start: datetime, end: datetime, kinds: Sequence[RecordKind]
) -> tuple[RecordInfo, ...]:
    """Those that tell of any of the time from `start` to before `end`, in the order of their start, but those that a prune dropped."""
    return tuple(_info(row) for row in connection.execute(_telling_of(cluster, start, end, kinds)))


def _telling_of(cluster: str, start: datetime, end: datetime, kinds: Sequence[RecordKind]) -> Select[Any]:
    dropped = select(DroppedRow.digest).where(DroppedRow.kind == DroppedKind.RECORD.value)
    return _RECORDS.where(
        ClusterRow.name == cluster,
        RecordRow.kind.in_([kind.value for kind in kinds]),
        RecordRow.starts_at < utc(end),
        RecordRow.ends_at >= utc(start),
        RecordRow.record_digest.not_in(dropped),
    ).order_by(RecordRow.starts_at, RecordRow.id)


def read_assessments(
    connection: Connection, cluster: str, start: datetime, end: datetime, software: str
) -> Iterator[StoredRecord]:
    """What was assessed of snapshots taken from `start` to before `end` by software of this digest, in the order of their time and entry.

    Raises StoreError when anything is not what was stored.
    """
    query = _telling_of(cluster, start, end, (RecordKind.ASSESSMENT,)).where(RecordRow.configuration_digest == software)
    query = query.join(DocumentRow, RecordRow.document_digest == DocumentRow.digest).add_columns(DocumentRow.body)
    for row in connection.execute(query):
        if _digest_of(row) != row.record_digest:
            raise StoreError(f"record {row.id}: its digest does not match its header")
        document = checked_body(row.body, row.document_digest, f"record {row.id}")
        yield StoredRecord(_info(row), parse_body(document))


def read_record(connection: Connection, record_id: int) -> StoredRecord:
    """Raises StoreError when there is none, or when anything in it is not what was stored."""
    row = connection.execute(_RECORDS.where(RecordRow.id == record_id)).first()
    if row is None:
        raise StoreError("there is none of that number")
    refuse_dropped(connection, DroppedKind.RECORD, row.record_digest)
    if _digest_of(row) != row.record_digest:
        raise StoreError("its digest does not match its header")
    packed = connection.scalar(select(DocumentRow.body).where(DocumentRow.digest == row.document_digest))
    return StoredRecord(_info(row), parse_body(checked_body(packed, row.document_digest, "its document")))


def check_records(connection: Connection) -> Iterator[str]:
    """One sentence for each record that is not what was stored; bodies are left to the caller."""
    for row in connection.execute(_RECORDS.order_by(RecordRow.id)):
        if _digest_of(row) != row.record_digest:
            yield f"record {row.id} of {row.cluster}: its digest does not match its header"


def _digest_of(row: Row[Any]) -> str:
    times = (row.starts_at, row.ends_at, row.taken_in_at)
    return _digest(row.cluster, row.kind, times, run_info(row), row.document_digest)


def _info(row: Row[Any]) -> RecordInfo:
    try:
        kind = RecordKind(row.kind)
    except ValueError as error:
        raise StoreError(f"record {row.id} is of kind {row.kind!r}, which this version does not know") from error
    return RecordInfo(
        id=row.id,
        cluster=row.cluster,
        kind=kind,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        taken_in_at=row.taken_in_at,
        document_digest=row.document_digest,
        digest=row.record_digest,
        run=run_info(row),
    )
