"""One suite over both databases: every test that asks for `db` runs on SQLite and on a real Postgres."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evidence.store import Store


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.real)])
def db(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an empty database is: a path, or a URL."""
    return str(tmp_path / "evidence.db") if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture
def store(db: str) -> Iterator[Store]:
    with Store.open(db) as opened:
        yield opened
