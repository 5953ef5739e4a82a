"""The log over the store, with an entry for everything that is there already; and its checkpoints."""

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

from evidence.canonical import canonical_json
from evidence.errors import StoreError

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
DIGEST = sa.LargeBinary(32)
CUSTODY = ("software_version", "host", "identity", "command", "configuration_digest")


def upgrade() -> None:
    entries = op.create_table(
        "log_entries",
        sa.Column("position", ID, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("cluster_id", ID, sa.ForeignKey("clusters.id"), nullable=False),
        sa.Column("row_id", ID, nullable=True),
        sa.Column("digest", DIGEST, nullable=False),
    )
    op.create_table(
        "checkpoints",
        sa.Column("number", ID, primary_key=True, autoincrement=False),
        sa.Column("note", sa.String(), nullable=False, unique=True),
    )
    rows = [
        {"position": position, "kind": kind, "cluster_id": cluster_id, "row_id": row_id, "digest": digest}
        for position, (kind, cluster_id, row_id, digest) in enumerate(_present())
    ]
    if rows:
        op.bulk_insert(entries, rows)


def _present() -> Iterator[tuple[str, int, int, bytes]]:
    """Kind, cluster, number and digest of what is there: snapshots, failed runs, records, each in the order of their entry."""
    connection = op.get_bind()
    for table, kind, column in (("snapshots", "snapshot", "root_digest"), ("records", "record", "record_digest")):
        if kind == "record":
            yield from _failed_runs(connection)
        found = sa.table(table, sa.column("id", ID), sa.column("cluster_id", ID), sa.column(column, DIGEST))
        for row in connection.execute(sa.select(found).order_by(found.c.id)).all():
            yield kind, row.cluster_id, row.id, bytes(getattr(row, column))


def _failed_runs(connection: sa.Connection) -> Iterator[tuple[str, int, int, bytes]]:
    runs = sa.table(
        "failed_runs",
        sa.column("id", ID),
        sa.column("cluster_id", ID),
        sa.column("started_at", TIME),
        sa.column("finished_at", TIME),
        *(sa.column(name, sa.String()) for name in ("message", *CUSTODY)),
    )
    clusters = sa.table("clusters", sa.column("id", ID), sa.column("name", sa.String()))
    query = sa.select(runs, clusters.c.name.label("cluster")).join_from(
        runs, clusters, runs.c.cluster_id == clusters.c.id
    )
    for row in connection.execute(query.order_by(runs.c.id)).all():
        header: dict[str, Any] = {
            "cluster": row.cluster,
            "started_at": _moment(row.started_at),
            "finished_at": _moment(row.finished_at),
            "message": row.message,
            "run": {name: getattr(row, name) for name in CUSTODY},
        }
        digest = hashlib.sha256(b"evidence/failed-run/v1\n" + canonical_json(header)).digest()
        yield "failed-run", row.cluster_id, row.id, digest


def _moment(value: datetime) -> str:
    aware = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return aware.isoformat(timespec="microseconds")


def downgrade() -> None:
    """Only while the log says nothing but what the tables say, too, and nobody has signed it: otherwise it could not be made again."""
    connection = op.get_bind()
    if connection.scalar(sa.text("SELECT count(*) FROM checkpoints")) or connection.scalar(
        sa.text("SELECT count(*) FROM log_entries WHERE kind = 'pack'")
    ):
        raise StoreError(
            "the store's log has checkpoints, or packs in it, which an older schema cannot hold: it stays as it is; use this version of evidence"
        )
    op.drop_table("checkpoints")
    op.drop_table("log_entries")
