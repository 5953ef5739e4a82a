"""Which version of the tables a database holds, and how it gets to ours.

A version is the number of the last migration. Ours is a constant, so that opening a store costs one small query and Alembic is
loaded only when there is something to migrate (a test compares the constant with the migrations). An empty database is filled when it is
first opened. An older one is left alone until `evidence db migrate`: a migration is the owner's decision, after a backup. A newer one
is refused: this version cannot know what it would break.
"""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect, text

from evidence.errors import StoreError
from evidence.resources import data_folder
from evidence.store.database import use_write_ahead_log, writing
from evidence.store.failures import explained

if TYPE_CHECKING:
    from alembic.config import Config

VERSION = "0005"
VERSION_TABLE = "evidence_schema_version"

_LOCK = "schema"  # also the name of the lock; cluster locks have another prefix


class Condition(Enum):
    """What a database looks like to this version."""

    EMPTY = "empty"
    FOREIGN = "foreign"  # holds tables, none of ours
    OLDER = "older"
    CURRENT = "current"
    NEWER = "newer"


@dataclass(frozen=True, slots=True)
class Schema:
    condition: Condition
    version: str  # "" when there is none


def read_schema(connection: Connection) -> Schema:
    """Raises StoreError when the version table is there but cannot be understood."""
    tables = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        return Schema(Condition.FOREIGN if tables else Condition.EMPTY, "")
    found = list(connection.execute(text(f"SELECT version_num FROM {VERSION_TABLE}")).scalars())  # noqa: S608  (a constant)
    if not found:  # every migration was taken back
        return Schema(Condition.EMPTY if tables == {VERSION_TABLE} else Condition.FOREIGN, "")
    version = str(found[0])
    if len(found) > 1 or not version.isdecimal():
        raise StoreError(f"its schema version {', '.join(map(str, found))!r} is not one of this program")
    if version == VERSION:
        return Schema(Condition.CURRENT, version)
    return Schema(Condition.OLDER if int(version) < int(VERSION) else Condition.NEWER, version)


def require_current(schema: Schema, url: str) -> None:
    """Raises StoreError, with what to do, unless the tables are this version's."""
    match schema.condition:
        case Condition.CURRENT:
            return
        case Condition.EMPTY:
            raise StoreError(f"the store {url} is empty; run `evidence collect` or `evidence db migrate` first")
        case Condition.FOREIGN:
            raise StoreError(
                f"the database {url} holds another program's tables and no store; give another --db, or let "
                "`evidence db migrate` put the store's tables beside them"
            )
        case Condition.OLDER:
            raise StoreError(
                f"the store {url} is of schema {schema.version} and this version needs {VERSION}: back it up, then run "
                "`evidence db migrate`"
            )
        case Condition.NEWER:
            raise StoreError(
                f"the store {url} is of schema {schema.version}, newer than this version's {VERSION}: "
                "use the newer version of evidence that wrote it"
            )


def migrate(engine: Engine, url: str, wait_seconds: float, target: str = VERSION) -> tuple[str, str]:
    """Bring the tables to `target` ("base" for none), all or nothing; gives the versions before and after ("" for none).

    Raises StoreError for a newer schema. Two processes that do this at once do it once.
    """
    with explained(url):
        use_write_ahead_log(engine)
    with writing(engine, url, _LOCK, wait_seconds) as connection:
        before = read_schema(connection)
        if before.condition is Condition.NEWER:
            require_current(before, url)
        if before.version != target:
            _run_migrations(connection, before.version, target)
        return before.version, read_schema(connection).version


def _run_migrations(connection: Connection, current: str, target: str) -> None:
    from alembic import command

    downwards = target == "base" or (current != "" and int(target) < int(current))
    config = alembic_config()
    config.attributes["connection"] = connection
    (command.downgrade if downwards else command.upgrade)(config, target)


def alembic_config() -> "Config":
    """Alembic's configuration, without a file: it only needs to know where the migrations lie."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(data_folder("migrations")).replace("%", "%%"))
    return config
