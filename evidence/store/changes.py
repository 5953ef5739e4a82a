"""What became of a cluster's objects between two snapshots, told by their intervals alone: no body is read."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from evidence.store.tables import ClusterRow, IntervalRow

Kind = tuple[str, str]  # group and kind


@dataclass(frozen=True, slots=True)
class Changes:
    """How many objects of each kind are there in the second snapshot only, in the first one only, and in both in another version."""

    added: Mapping[Kind, int]
    removed: Mapping[Kind, int]
    changed: Mapping[Kind, int]


def count_changes(connection: Connection, cluster: str, pairs: Sequence[tuple[int, int]]) -> tuple[Changes, ...]:
    """For each pair of snapshots of the cluster, by their numbers, in any order."""
    if not pairs:
        return ()
    first, last = min(map(min, pairs)), max(map(max, pairs))
    began: dict[int, list[Row[Any]]] = defaultdict(list)
    ended: dict[int, list[Row[Any]]] = defaultdict(list)
    query = (
        select(*IntervalRow.__table__.columns)
        .join(ClusterRow, IntervalRow.cluster_id == ClusterRow.id)
        .where(
            ClusterRow.name == cluster,
            IntervalRow.first_id <= last,
            or_(IntervalRow.first_id > first, IntervalRow.end_id > first),
        )
    )
    for row in connection.execute(query):
        began[row.first_id].append(row)
        if row.end_id is not None:
            ended[row.end_id].append(row)
    moments = sorted({*began, *ended})
    return tuple(_between(*pair, moments, began, ended) for pair in pairs)


def _between(
    one: int,
    other: int,
    moments: Sequence[int],
    began: Mapping[int, Sequence[Row[Any]]],
    ended: Mapping[int, Sequence[Row[Any]]],
) -> Changes:
    earlier, later = sorted((one, other))  # by entry, as intervals count; not by time
    passed = moments[bisect_right(moments, earlier) : bisect_right(moments, later)]
    came = _versions(row for at in passed for row in began.get(at, ()) if row.end_id is None or row.end_id > later)
    went = _versions(row for at in passed for row in ended.get(at, ()) if row.first_id <= earlier)
    before, after = (went, came) if one == earlier else (came, went)
    changed = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    return Changes(
        added=_by_kind(after.keys() - before.keys()),
        removed=_by_kind(before.keys() - after.keys()),
        changed=_by_kind(changed),
    )


_Key = tuple[str, str, str, str]  # group, kind, namespace, name


def _versions(rows: Iterable[Row[Any]]) -> dict[_Key, str]:
    return {(row.group, row.kind, row.namespace, row.name): row.digest for row in rows}


def _by_kind(keys: Iterable[_Key]) -> Mapping[Kind, int]:
    return Counter(key[:2] for key in keys)
