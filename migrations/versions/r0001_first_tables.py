"""Clusters, objects, intents, sources, snapshots, intervals, failed runs."""

import sqlalchemy as sa
from alembic import op

from evidence.errors import StoreError

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
DIGEST = sa.LargeBinary(32)


def custody() -> list[sa.Column[str]]:
    names = ("software_version", "host", "identity", "command", "configuration_digest")
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "clusters",
        sa.Column("id", ID, primary_key=True),
        sa.Column("name", sa.String(), nullable=False, unique=True),
    )
    for table in ("objects", "intents", "sources"):
        op.create_table(
            table,
            sa.Column("digest", DIGEST, primary_key=True),
            sa.Column("body", sa.LargeBinary(), nullable=True),
        )
    op.create_table(
        "snapshots",
        sa.Column("id", ID, primary_key=True),
        sa.Column("cluster_id", ID, sa.ForeignKey("clusters.id"), nullable=False),
        sa.Column("taken_at", TIME, nullable=False),
        sa.Column("taken_at_claimed", sa.Boolean(), nullable=False),
        sa.Column("received_at", TIME, nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("root_digest", DIGEST, nullable=False),
        sa.Column("content", DIGEST, nullable=False),
        sa.Column("object_count", sa.Integer(), nullable=False),
        sa.Column("partial", sa.Boolean(), nullable=False),
        sa.Column("intent_digest", DIGEST, sa.ForeignKey("intents.digest"), nullable=True),
        sa.Column("sources_digest", DIGEST, sa.ForeignKey("sources.digest"), nullable=False),
        sa.Column("details", sa.LargeBinary(), nullable=False),
        *custody(),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_snapshots_cluster_taken", "snapshots", ["cluster_id", "taken_at"])
    op.create_table(
        "intervals",
        sa.Column("cluster_id", ID, sa.ForeignKey("clusters.id"), primary_key=True),
        sa.Column("group", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("namespace", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("first_id", ID, sa.ForeignKey("snapshots.id"), primary_key=True),
        sa.Column("end_id", ID, sa.ForeignKey("snapshots.id"), nullable=True),
        sa.Column("digest", DIGEST, sa.ForeignKey("objects.digest"), nullable=False),
        sa.CheckConstraint("end_id > first_id", name="ends_after_it_begins"),
        sqlite_with_rowid=False,
    )
    still_open = sa.text("end_id IS NULL")
    op.create_index(
        "ix_intervals_open", "intervals", ["cluster_id"], sqlite_where=still_open, postgresql_where=still_open
    )
    op.create_index("ix_intervals_digest", "intervals", ["digest"])
    op.create_table(
        "failed_runs",
        sa.Column("id", ID, primary_key=True),
        sa.Column("cluster_id", ID, sa.ForeignKey("clusters.id"), nullable=False),
        sa.Column("started_at", TIME, nullable=False),
        sa.Column("finished_at", TIME, nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        *custody(),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_failed_runs_cluster_started", "failed_runs", ["cluster_id", "started_at"])


def downgrade() -> None:
    """Only while nothing was stored."""
    for table, what in (("snapshots", "snapshots"), ("failed_runs", "runs that failed")):
        if op.get_bind().scalar(sa.text(f"SELECT count(*) FROM {table}")):  # noqa: S608  (a constant)
            raise StoreError(f"the store holds {what}, which without its tables would be gone: it stays as it is")
    for table in ("failed_runs", "intervals", "snapshots", "sources", "intents", "objects", "clusters"):
        op.drop_table(table)
