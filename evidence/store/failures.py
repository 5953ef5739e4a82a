"""Turns what a database driver says into one sentence that tells a person what is wrong and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from evidence.errors import StoreAwayError, StoreError

# First match wins; names as in https://sqlite.org/rescode.html (extended codes begin with their primary code's name).
_SQLITE = (
    ("SQLITE_BUSY", "is locked by another process; try again when that has finished"),
    ("SQLITE_LOCKED", "is locked by another process; try again when that has finished"),
    ("SQLITE_FULL", "cannot grow: the disk is full; make room and run again (nothing was stored)"),
    ("SQLITE_IOERR_SHMSIZE", "cannot grow: the disk is full; make room and run again (nothing was stored)"),
    ("SQLITE_NOTADB", "is not a database file; give another path with --db"),
    ("SQLITE_CORRUPT", "is damaged; restore it from a backup (see docs/operate.md)"),
    ("SQLITE_CANTOPEN", "cannot be opened: its folder is missing or may not be written; give another path with --db"),
    ("SQLITE_READONLY", "cannot be written: the file or its folder is read-only; mend the permissions or give --db"),
    ("SQLITE_PERM", "cannot be opened: permission denied; mend the permissions or give --db"),
    ("SQLITE_IOERR", "cannot be read or written: the disk failed or is full"),
)

# By SQLSTATE or its class, https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES = (
    ("28", "refuses this user or password; check the URL"),
    ("3D000", "has no database of that name; create it first"),
    ("3F000", "has no schema to put tables into; create one or set search_path"),
    ("42501", "denies this user what is needed; grant rights on the schema and its tables"),
    ("53100", "cannot grow: the server's disk is full (nothing was stored)"),
    ("53300", "has no free connection; try again, or raise max_connections"),
    ("53", "is out of resources (nothing was stored)"),
    ("55P03", "is locked: another collector is storing a snapshot of this cluster; try again when that has finished"),
    ("40", "had to give way to another transaction; run again"),
    ("25006", "is read-only (a standby?); use the primary's address"),
    ("57", "is shutting down or was stopped; try again"),
    ("08", "dropped the connection; check that the server runs"),
)


# SQLSTATEs, or their classes, after which the same may go well in a moment: a restart, a failover, another transaction.
_PASSING = ("08", "25006", "40", "53300", "57")


def sentence(error: SQLAlchemyError, url: str) -> str:
    """One sentence about a failed database call. `url` without a password."""
    original = error.orig if isinstance(error, DBAPIError) else None
    sqlite_name: str = getattr(original, "sqlite_errorname", None) or ""
    for name, meaning in _SQLITE:
        if sqlite_name.startswith(name):
            return f"the store {url} {meaning}"
    state: str = getattr(original, "sqlstate", None) or ""
    for prefix, meaning in _POSTGRES:
        if state.startswith(prefix):
            return f"the store {url} {meaning}"
    said = " ".join(str(original or error).split())
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return f"the store {url} dropped the connection; check that the server runs ({said})"
    if original is not None and type(original).__name__ == "OperationalError" and not state and not sqlite_name:
        return f"the store {url} cannot be opened; check the URL and that the server runs ({said})"
    return f"the store {url} failed: {said}"


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Raises StoreError in place of any error of the database; StoreAwayError where the same may go well in a moment."""
    try:
        yield
    except SQLAlchemyError as error:
        raise (StoreAwayError if _passing(error) else StoreError)(sentence(error, url)) from error


def _passing(error: SQLAlchemyError) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    state: str = getattr(error.orig, "sqlstate", None) or ""
    lost = type(error.orig).__name__ == "OperationalError" and not state and not hasattr(error.orig, "sqlite_errorname")
    return error.connection_invalidated or lost or state.startswith(_PASSING)
