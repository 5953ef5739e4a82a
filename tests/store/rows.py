"""A look past the store, straight into its tables."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import create_engine, text

from evidence.store.database import parse_url
from evidence.store.tables import TABLES


def run(db: str, statement: str, parameters: dict[str, Any] | None = None) -> Sequence[Any]:
    """Run one statement as anybody with access to the database could; gives rows if there are any."""
    engine = create_engine(parse_url(db))
    try:
        with engine.begin() as connection:
            result = connection.execute(text(statement), parameters or {})
            return result.all() if result.returns_rows else []
    finally:
        engine.dispose()


def everything(db: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables of the store, for comparing before and after."""
    engine = create_engine(parse_url(db))
    try:
        with engine.connect() as connection:
            return {
                table: sorted((tuple(row) for row in connection.execute(text(f'SELECT * FROM "{table}"'))), key=repr)
                for table in sorted(TABLES)
            }
    finally:
        engine.dispose()


def counts(db: str) -> dict[str, int]:
    return {table: len(rows) for table, rows in everything(db).items()}
