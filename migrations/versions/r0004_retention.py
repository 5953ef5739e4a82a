"""What was decided about keeping: prunes and what they dropped, legal holds; log entries of the store as a whole."""

import sqlalchemy as sa
from alembic import op

from evidence.errors import StoreError

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)
DIGEST = sa.LargeBinary(32)
CUSTODY = ("software_version", "host", "identity", "command", "configuration_digest")


def upgrade() -> None:
    op.create_table(
        "retention_acts",
        sa.Column("id", ID, primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("made_at", TIME, nullable=False),
        sa.Column("statement", sa.String(), nullable=False),
        sa.Column("act_digest", DIGEST, nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in CUSTODY),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "dropped",
        sa.Column("digest", DIGEST, primary_key=True),
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("prune_id", ID, sa.ForeignKey("retention_acts.id"), primary_key=True),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_dropped_prune", "dropped", ["prune_id"])
    with op.batch_alter_table("log_entries") as batch:
        batch.alter_column("cluster_id", existing_type=ID, nullable=True)


def downgrade() -> None:
    """Only while nothing was ever pruned or held: the log below knows no such entries, and may lose none."""
    if op.get_bind().scalar(sa.text("SELECT count(*) FROM retention_acts")):
        raise StoreError(
            "the store holds prunes or legal holds, which an older schema cannot: it stays as it is; use this version of evidence"
        )
    with op.batch_alter_table("log_entries") as batch:
        batch.alter_column("cluster_id", existing_type=ID, nullable=False)
    op.drop_table("dropped")
    op.drop_table("retention_acts")
