"""Between a table's row and its line of an export: one rule for each type of column."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    String,
    Table,
    collate,
    select,
)

from evidence.canonical import canonical_json
from evidence.errors import InputError, StoreError
from evidence.store.content import pack, timestamp, unpack
from evidence.store.tables import (
    Base,
    CheckpointRow,
    ClusterRow,
    Digest,
    DocumentRow,
    DroppedRow,
    FailedRunRow,
    IntentRow,
    IntervalRow,
    LogEntryRow,
    ObjectRow,
    RecordRow,
    RetentionRow,
    SnapshotRow,
    SourcesRow,
    Utc,
)

BASE64 = frozenset({("intents", "body")})  # columns whose bytes are a file of somebody's


@dataclass(frozen=True, slots=True)
class Member:
    """One table of an export. `order`: columns by which its lines are sorted, `cluster` for the cluster's name; no two lines have the same."""

    table: Table
    order: tuple[str, ...]
    numbered: bool = False  # the database counts its `id` up by itself

    @property
    def name(self) -> str:
        return f"{self.table.name}.jsonl"

    @property
    def bodies(self) -> bool:
        """Whether its lines are a digest and the body that it covers."""
        return set(self.table.columns.keys()) == {"digest", "body"}

    @property
    def clustered(self) -> bool:
        return "cluster_id" in self.table.columns

    def keys(self) -> list[str]:
        """The keys of a line, sorted."""
        return sorted(_key(column) for column in self.table.columns if not _is_cluster_number(self.table, column))


def _member(row: type[Base], *order: str, numbered: bool = False) -> Member:
    table = row.__table__
    assert isinstance(table, Table)  # noqa: S101  (every mapping here is of one table)
    return Member(table, order, numbered)


# In the order in which they can be written: what is referred to comes first. The hashes of the log's subtrees follow from its entries.
MEMBERS = (
    _member(ClusterRow, "name"),
    _member(ObjectRow, "digest"),
    _member(IntentRow, "digest"),
    _member(SourcesRow, "digest"),
    _member(DocumentRow, "digest"),
    _member(SnapshotRow, "id", numbered=True),
    _member(IntervalRow, "cluster", "first_id", "group", "kind", "namespace", "name"),
    _member(FailedRunRow, "id", numbered=True),
    _member(RecordRow, "id", numbered=True),
    _member(RetentionRow, "id", numbered=True),
    _member(DroppedRow, "prune_id", "kind", "digest"),
    _member(LogEntryRow, "position"),
    _member(CheckpointRow, "number"),
)


def _is_cluster_number(table: Table, column: Column[Any]) -> bool:
    return table.name == "clusters" and column.name == "id"


def _key(column: Column[Any]) -> str:
    return "cluster" if column.name == "cluster_id" else column.name


# -- out --------------------------------------------------------------------------------------------------------------


def query(member: Member, dialect: str) -> Select[Any]:
    """All rows in the order of their lines. Text is sorted by its bytes, whatever the database's own order is."""
    clusters = ClusterRow.__table__
    columns: list[ColumnElement[Any]] = [
        column for column in member.table.columns if not _is_cluster_number(member.table, column)
    ]
    found = select(*columns)
    if member.clustered:
        found = found.add_columns(clusters.c.name.label("cluster")).join_from(
            member.table, clusters, member.table.c.cluster_id == clusters.c.id, isouter=True
        )
    by = [clusters.c.name if name == "cluster" else member.table.c[name] for name in member.order]
    return found.order_by(*(collate(one, "C") if _sorts_oddly(one, dialect) else one for one in by))


def _sorts_oddly(column: ColumnElement[Any], dialect: str) -> bool:
    return dialect == "postgresql" and isinstance(column.type, String)


def line(member: Member, row: Any) -> bytes:
    """A row as its line, without the line's end. Raises StoreError for a body that is not what was stored."""
    found: dict[str, Any] = {}
    for column in member.table.columns:
        if column.name == "cluster_id":
            found["cluster"] = row.cluster or ""
        elif not _is_cluster_number(member.table, column):
            found[column.name] = _written(member, column, getattr(row, column.name), row)
    return canonical_json(found)


def _written(member: Member, column: Column[Any], value: Any, row: Any) -> Any:
    if isinstance(value, datetime):
        return timestamp(value)
    if not isinstance(value, bytes | memoryview):
        return value
    try:
        content = unpack(bytes(value))
        if member.bodies and hashlib.sha256(content).hexdigest() != row.digest:
            raise StoreError("it does not match its digest")
        return base64.b64encode(content).decode() if (member.table.name, column.name) in BASE64 else content.decode()
    except (StoreError, UnicodeDecodeError) as error:
        which = getattr(row, member.order[0])
        raise StoreError(
            f"{member.table.name} {which}: its {column.name} is not what was stored ({error}); `evidence db check` names all that is wrong"
        ) from error


# -- in ---------------------------------------------------------------------------------------------------------------


def values(member: Member, written: bytes, clusters: Mapping[str, int]) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """A row for the table from its line, and what the line is sorted by. `clusters`: numbers by name. Raises InputError, which says what is wrong."""
    try:
        content = orjson.loads(written)
        canonical = canonical_json(content)
    except (ValueError, InputError) as error:
        raise InputError("is not JSON") from error
    if not isinstance(content, dict) or sorted(content) != member.keys():
        raise InputError(f"must be an object of {', '.join(member.keys())}")
    if canonical != written:
        raise InputError("is not written as canonical JSON: it was changed")
    row: dict[str, Any] = {}
    for column in member.table.columns:
        if _is_cluster_number(member.table, column):
            continue
        value = content[_key(column)]
        if column.name == "cluster_id":
            row["cluster_id"] = _cluster(column, value, clusters)
        else:
            row[column.name] = _read(member, column, value)
    if member.bodies and row["body"] is not None:
        body = _content((member.table.name, "body"), content["body"])
        if hashlib.sha256(body).hexdigest() != row["digest"]:
            raise InputError("its body does not match its digest")
    return row, tuple(content[name] for name in member.order)


def _cluster(column: Column[Any], value: Any, clusters: Mapping[str, int]) -> int | None:
    if value == "" and column.nullable:
        return None
    if not isinstance(value, str) or value not in clusters:
        raise InputError(f"there is no cluster {value!r}")
    return clusters[value]


def _read(member: Member, column: Column[Any], value: Any) -> Any:
    """A value of the column's type, from JSON. Raises InputError."""
    if value is None and column.nullable:
        return None
    match column.type:
        case Utc() if isinstance(value, str):
            return _moment(column.name, value)
        case Digest() if isinstance(value, str) and _is_digest(value):
            return value
        case Boolean() if isinstance(value, bool):
            return value
        case BigInteger() | Integer() if type(value) is int and abs(value) < 2**53:
            return value
        case String() if isinstance(value, str) and "\x00" not in value:
            return value
        case LargeBinary() if isinstance(value, str):
            return pack(_content((member.table.name, column.name), value))
    raise InputError(f"{column.name} is not of its type")


def _content(column: tuple[str, str], value: str) -> bytes:
    if column not in BASE64:
        return value.encode()
    try:
        found = base64.b64decode(value, validate=True)
    except ValueError as error:
        raise InputError(f"{column[1]} is not in base64") from error
    if base64.b64encode(found).decode() != value:
        raise InputError(f"{column[1]} is not in base64")
    return found


def _moment(name: str, value: str) -> datetime:
    try:
        found = datetime.fromisoformat(value)
    except ValueError as error:
        raise InputError(f"{name} is not a time") from error
    if found.utcoffset() != timedelta() or timestamp(found.astimezone(UTC)) != value:
        raise InputError(f"{name} is not a time in UTC with microseconds")
    return found


def _is_digest(value: str) -> bool:
    return len(value) == 64 and not value.strip("0123456789abcdef")
