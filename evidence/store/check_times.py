"""Whether the times at which things came in go with the order in which they stand in the log.

Who may write to the store can put something in with any time of receipt, but only at the end of the log: it then stands behind what says a later
time. A clock that was wrong, or two collectors whose clocks differ, look the same from here. So this is told, and is not called wrong.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, select

from evidence.log.entries import EntryKind
from evidence.store.log import ACTS
from evidence.store.tables import ClusterRow, LogEntryRow, RecordRow, RetentionRow, SnapshotRow

CLOCKS_DIFFER = timedelta(minutes=10)  # also how long a writer may have waited for others

_ROWS_AT_ONCE = 1000


def early_entries(connection: Connection) -> Iterator[str]:
    """One sentence for each thing behind which others say that they came in before it. Failed runs and packs say no time of receipt."""
    ahead, latest = "", None
    first, number = "", 0
    for name, moment in _received(connection):
        if latest is None or moment > latest:
            if number:
                yield _sentence(ahead, latest, first, number)
            ahead, latest, first, number = name, moment, "", 0
        elif moment < latest - CLOCKS_DIFFER:
            first, number = first or f"{name}, {_text(moment)}", number + 1
    if number:
        yield _sentence(ahead, latest, first, number)


def _sentence(ahead: str, latest: datetime | None, first: str, number: int) -> str:
    said = f"{number} entries say that they came" if number > 1 else "1 entry says that it came"
    when = _text(latest) if latest else ""
    return f"the log: behind {ahead}, which came in {when}, {said} in earlier (first {first}): put in later than it says, or by another clock"


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _received(connection: Connection) -> Iterator[tuple[str, datetime]]:
    """What each entry is and when it came in, in the order of the log."""
    kind, number = LogEntryRow.kind, LogEntryRow.row_id
    query = (
        select(
            kind,
            number,
            ClusterRow.name,
            SnapshotRow.received_at,
            RecordRow.taken_in_at,
            RetentionRow.made_at,
        )
        .select_from(LogEntryRow)
        .outerjoin(ClusterRow, ClusterRow.id == LogEntryRow.cluster_id)
        .outerjoin(SnapshotRow, and_(kind == EntryKind.SNAPSHOT.value, SnapshotRow.id == number))
        .outerjoin(RecordRow, and_(kind == EntryKind.RECORD.value, RecordRow.id == number))
        .outerjoin(RetentionRow, and_(kind.in_(ACTS), RetentionRow.id == number))
        .order_by(LogEntryRow.position)
    )
    for what, row_id, cluster, *moments in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        found = next((moment for moment in moments if moment is not None), None)
        if found is not None:
            yield f"{what} {row_id}{f' of {cluster}' if cluster else ''}", found
