"""Documents and records: what probes and imported logs saw."""

import sqlalchemy as sa
from alembic import op

from evidence.errors import StoreError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
DIGEST = sa.LargeBinary(32)


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("digest", DIGEST, primary_key=True),
        sa.Column("body", sa.LargeBinary(), nullable=True),
    )
    op.create_table(
        "records",
        sa.Column("id", ID, primary_key=True),
        sa.Column("cluster_id", ID, sa.ForeignKey("clusters.id"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("starts_at", TIME, nullable=False),
        sa.Column("ends_at", TIME, nullable=False),
        sa.Column("taken_in_at", TIME, nullable=False),
        sa.Column("document_digest", DIGEST, sa.ForeignKey("documents.digest"), nullable=False),
        sa.Column("record_digest", DIGEST, nullable=False),
        sa.Column("software_version", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("identity", sa.String(), nullable=False),
        sa.Column("command", sa.String(), nullable=False),
        sa.Column("configuration_digest", sa.String(), nullable=False),
        sa.CheckConstraint("ends_at >= starts_at", name="ends_at_or_after_its_start"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_records_cluster_kind_starts", "records", ["cluster_id", "kind", "starts_at"])


def downgrade() -> None:
    """Only while nothing is recorded: an older schema has no place for it."""
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM records")):
        raise StoreError(
            "the store holds records of probes or logs, which an older schema cannot: it stays as it is; use this version of evidence"
        )
    op.drop_table("records")
    op.drop_table("documents")
