"""The hashes of the log's whole subtrees, from the entries that are there already."""

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

from evidence.log.entries import LogEntry
from evidence.log.tree import Growth

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
DIGEST = sa.LargeBinary(32)
_ENTRIES_AT_ONCE = 10_000


def upgrade() -> None:
    subtrees = op.create_table(
        "log_subtrees",
        sa.Column("height", sa.Integer(), primary_key=True),
        sa.Column("number", ID, primary_key=True),
        sa.Column("hash", DIGEST, nullable=False),
        sqlite_with_rowid=False,
    )
    tree, rows = Growth(), []
    for entry in _entries():
        rows += [
            {"height": height, "number": number, "hash": found}
            for (height, number), found in tree.add(entry.hash).items()
        ]
    if rows:
        op.bulk_insert(subtrees, rows)


def _entries() -> Iterator[LogEntry]:
    entries = sa.table(
        "log_entries",
        sa.column("position", ID),
        sa.column("kind", sa.String()),
        sa.column("cluster_id", ID),
        sa.column("digest", DIGEST),
    )
    clusters = sa.table("clusters", sa.column("id", ID), sa.column("name", sa.String()))
    query = (
        sa.select(entries.c.position, entries.c.kind, clusters.c.name, entries.c.digest)
        .join_from(entries, clusters, entries.c.cluster_id == clusters.c.id, isouter=True)
        .order_by(entries.c.position)
        .limit(_ENTRIES_AT_ONCE)
    )
    after = -1
    while rows := op.get_bind().execute(query.where(entries.c.position > after)).all():
        for row in rows:
            yield LogEntry(row.kind, row.name or "", bytes(row.digest).hex())
        after = rows[-1].position


def downgrade() -> None:
    """Nothing is lost: each hash follows from the entries."""
    op.drop_table("log_subtrees")
