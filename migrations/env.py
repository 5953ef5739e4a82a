"""Alembic's entry: runs the migrations on the connection that `evidence/store/schema.py` hands over, inside its transaction."""

from alembic import context

from evidence.store.schema import VERSION_TABLE
from evidence.store.tables import Base

connection = context.config.attributes["connection"]
context.configure(
    connection=connection, target_metadata=Base.metadata, version_table=VERSION_TABLE, render_as_batch=True
)
with context.begin_transaction():
    context.run_migrations()
