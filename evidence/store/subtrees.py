"""What is kept of the log's tree beside its entries: the hashes of its whole subtrees (evidence/log/tree.py), so that its head costs little.

A hash is written in the transaction of the entry that makes its subtree whole, and follows from the entries alone: an export leaves them out, an
import makes them anew. They are believed as far as the newest checkpoint bears them out. Where they lead to another root than the one that was
signed, an entry is missing, or the first checkpoint is to be signed, everything is computed from the entries. `evidence db check` always does, and
names each hash that does not fit.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from evidence.errors import SealError
from evidence.log.checkpoint import stated
from evidence.log.entries import LogEntry
from evidence.log.tree import RUN, Growth, Tree, ended, tree_of
from evidence.store.tables import CheckpointRow, ClusterRow, LogEntryRow, SubtreeRow

_ROWS_AT_ONCE = 1000
_ENTRIES = (
    select(LogEntryRow.kind, func.coalesce(ClusterRow.name, ""), LogEntryRow.digest)
    .join_from(LogEntryRow, ClusterRow, LogEntryRow.cluster_id == ClusterRow.id, isouter=True)
    .order_by(LogEntryRow.position)
)


def entries(connection: Connection) -> Iterator[LogEntry]:
    """The whole log, in its order."""
    rows = connection.execute(_ENTRIES, execution_options={"yield_per": _ROWS_AT_ONCE})
    return (LogEntry(kind, cluster, digest) for kind, cluster, digest in rows)


def size(connection: Connection) -> int:
    """How many entries there are."""
    last = connection.scalar(select(func.max(LogEntryRow.position)))
    return 0 if last is None else last + 1


def newest_checkpoint(connection: Connection) -> str | None:
    return connection.scalar(select(CheckpointRow.note).order_by(CheckpointRow.number.desc()).limit(1))


def log_tree(connection: Connection, *, to_sign: bool) -> Tree:
    """The tree over the log as it is now, to be used within the transaction. `to_sign`: its root will be signed."""
    tree = _stored_tree(connection, size(connection))
    believed = _borne_out(connection, tree, unsigned=not to_sign)
    return tree if believed else tree_of([entry.hash for entry in entries(connection)])


def _borne_out(connection: Connection, tree: Tree, *, unsigned: bool) -> bool:
    """Whether the newest checkpoint bears the tree out; `unsigned`: the answer when there is none."""
    try:
        tree.root()
        note = newest_checkpoint(connection)
        if note is None:
            return unsigned
        _, signed = stated(note)
        return signed.size <= tree.size and tree.root(signed.size).hex() == signed.root
    except SealError:  # entries are missing, or the newest checkpoint is none
        return False


def _stored_tree(connection: Connection, count: int) -> Tree:
    def leaves(first: int, last: int) -> Sequence[bytes]:
        rows = connection.execute(_ENTRIES.where(LogEntryRow.position >= first, LogEntryRow.position < last))
        return [LogEntry(kind, cluster, digest).hash for kind, cluster, digest in rows]

    def kept(height: int, first: int, last: int) -> Mapping[int, bytes]:
        rows = connection.execute(
            select(SubtreeRow.number, SubtreeRow.hash).where(
                SubtreeRow.height == height, SubtreeRow.number >= first, SubtreeRow.number < last
            )
        )
        return {number: bytes.fromhex(found) for number, found in rows}

    return Tree(count, leaves, kept)


# -- write ------------------------------------------------------------------------------------------------------------


def keep(connection: Connection, count: int) -> None:
    """Keep the hash of each subtree that became whole with the last of `count` entries; the caller holds the log's lock.

    One that is there already is of entries that somebody removed, and gives way. Where entries are missing there is nothing to keep; the check names
    them, and what is collected goes on being stored.
    """
    if count % RUN:
        return
    tree = _stored_tree(connection, count)
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    for height, number in ended(count):
        try:
            found = tree.whole(height, number).hex()
        except SealError:
            return
        statement = dialect.insert(SubtreeRow).values(height=height, number=number, hash=found)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["height", "number"], set_={"hash": statement.excluded.hash})
        )


def keep_all(connection: Connection) -> None:
    """Keep the hashes of all whole subtrees of a log that was written at once."""
    rows = [
        {"height": height, "number": number, "hash": found.hex()}
        for (height, number), found in _whole(entries(connection))
    ]
    if rows:
        connection.execute(insert(SubtreeRow), rows)


def _whole(log: Iterable[LogEntry]) -> Iterator[tuple[tuple[int, int], bytes]]:
    tree = Growth()
    for entry in log:
        yield from tree.add(entry.hash).items()


# -- check ------------------------------------------------------------------------------------------------------------


def check_subtrees(connection: Connection, computed: Mapping[tuple[int, int], bytes]) -> Iterator[str]:
    """One sentence for each way in which what is kept differs from what was computed from the entries."""
    rows = connection.execute(select(SubtreeRow.height, SubtreeRow.number, SubtreeRow.hash))
    kept = {(height, number): bytes.fromhex(found) for height, number, found in rows}
    for told, found in (
        (
            "the kept hash of its entries {} is not that of these entries: it or they were changed",
            [at for at in kept if computed.get(at, kept[at]) != kept[at]],
        ),
        ("the kept hash of its entries {} was removed", [at for at in computed if at not in kept]),
        (
            "a hash is kept of entries {}, which it does not have: the hash was added, or they were removed",
            [at for at in kept if at not in computed],
        ),
    ):
        if found:
            height, number = min(found)
            more = f" (and {len(found) - 1} more like it)" if len(found) > 1 else ""
            yield f"the log: {told.format(f'{number << height} to {(number + 1 << height) - 1}')}{more}"
