"""Connections: what a URL means, how SQLite is set up, how a writer keeps others out.

SQLite (https://sqlite.org/wal.html, https://sqlite.org/lang_transaction.html): write-ahead log, so that readers go on while a collector writes;
foreign keys on; full synchronisation, so that a committed snapshot survives a power cut. Python's driver would begin
transactions late and on its own, so it is told not to, and each begins with our own BEGIN: a writer's with BEGIN IMMEDIATE,
which takes the one write lock before anything is read.

Postgres: one advisory lock a cluster, held to the end of the transaction (https://www.postgresql.org/docs/current/explicit-locking.html).
Before it every writer takes a lock that all share; whoever drops bodies takes that one alone, because a body that no snapshot needs now may be
needed by one that is just being written. Both databases wait for a lock at most `wait_seconds`.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError

from evidence.errors import StoreError
from evidence.store.failures import explained

_LOCK_DOMAIN = "evidence/store/"
_BEGIN = "evidence_begin"  # execution option: how a SQLite transaction begins


def parse_url(given: str) -> URL:
    """A database URL, or a bare path for a SQLite file. Raises StoreError for anything that is not SQLite or Postgres."""
    if "://" not in given:
        return URL.create("sqlite", database=given)
    try:
        url = make_url(given)
    except (ArgumentError, ValueError) as error:
        raise StoreError(f"--db {given!r} is not a database URL such as postgresql://user@host/evidence") from error
    match url.get_backend_name():
        case "sqlite":
            if url.database in (None, "", ":memory:"):
                raise StoreError(f"--db {given!r} names no file: a store in memory would keep nothing; give a path")
            return url
        case "postgresql" | "postgres":
            return url.set(drivername="postgresql+psycopg")
    raise StoreError(f"--db {hidden(url)!r} is neither SQLite nor Postgres; give a path or postgresql://user@host/name")


def hidden(url: URL) -> str:
    """The URL for people: the bare path of a SQLite file, no password."""
    if url.get_backend_name() == "sqlite" and not url.query:
        return str(url.database)
    return url.set(drivername=url.get_backend_name()).render_as_string(hide_password=True)


def connect(url: URL, wait_seconds: float) -> Engine:
    """An engine for the URL; nothing is opened yet. Raises StoreError when the driver is not installed."""
    sqlite = url.get_backend_name() == "sqlite"
    arguments: dict[str, Any] = {"timeout": wait_seconds} if sqlite else {"connect_timeout": max(2, int(wait_seconds))}
    arguments = {name: value for name, value in arguments.items() if name not in url.query}
    try:
        engine = create_engine(url, connect_args=arguments)
    except NoSuchModuleError as error:
        raise StoreError(f"--db {hidden(url)!r} is neither SQLite nor Postgres") from error
    except ModuleNotFoundError as error:
        how = "it belongs to Python itself" if sqlite else "pip install 'evidence[postgres]'"
        raise StoreError(f"the driver for {hidden(url)} is not installed ({error.name}): {how}") from error
    if sqlite:
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver begins no transaction of its own
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def use_write_ahead_log(engine: Engine) -> None:
    """Switch a SQLite file to the write-ahead log, for good; nothing for Postgres. Needs the file for itself for a moment."""
    if engine.dialect.name != "sqlite":
        return
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            cursor.execute("PRAGMA journal_mode = WAL")
    finally:
        raw.close()


@contextmanager
def reading(engine: Engine, url: str) -> Iterator[Connection]:
    """One consistent view: everything read inside it is of one moment."""
    with explained(url), engine.connect() as plain:
        level = "REPEATABLE READ" if engine.dialect.name == "postgresql" else None
        connection = plain.execution_options(isolation_level=level) if level else plain
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: Engine, url: str, lock: str, wait_seconds: float, *, alone: bool = False) -> Iterator[Connection]:
    """One transaction that no other with the same `lock` overlaps; committed whole at the end, rolled back on any error.

    `alone`: that no other writer at all overlaps.
    """
    with explained(url), engine.connect() as plain:
        connection = plain.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        try:
            with connection.begin():
                if engine.dialect.name == "postgresql":
                    connection.execute(
                        text("SELECT set_config('lock_timeout', :wait, true)"),
                        {"wait": f"{int(wait_seconds * 1000)}ms"},
                    )
                    shared = "" if alone else "_shared"
                    connection.execute(
                        text(f"SELECT pg_advisory_xact_lock{shared}(:key)"), {"key": lock_number("writers")}
                    )
                    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": lock_number(lock)})
                yield connection
        except BaseException:
            plain.invalidate()  # a cursor that was not read to its end would go on to lock tables for the next one that has this connection
            raise


def lock_number(name: str) -> int:
    """A signed 64-bit number for an advisory lock; the domain keeps it apart from other programs' locks."""
    return int.from_bytes(hashlib.sha256((_LOCK_DOMAIN + name).encode()).digest()[:8], "big", signed=True)


def file_of(url: URL) -> Path | None:
    """The SQLite file, None for Postgres."""
    return Path(str(url.database)) if url.get_backend_name() == "sqlite" else None
