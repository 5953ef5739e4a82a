"""The work as units: one month (UTC) of one cluster each, a value that a worker anywhere can take.

1. A unit's result follows from its inputs and from nothing else: the snapshots of that month by root digest, the records that tell of it, the
   rules and mappings, the software. All of them are in `inputs`; the same inputs need not be evaluated again.
2. Where a month begins or ends changes nothing: its first snapshot is evaluated in full. Only the newest snapshot of the whole period looks back
   far in flow logs, as in a report.
3. A month rather than a snapshot: what did not change since the snapshot before is not evaluated again, and that is nearly everything.
   A month rather than a year: so much is lost when a run is stopped, and so evenly can the work be spread.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import groupby
from typing import TYPE_CHECKING, Any

from evidence import __version__
from evidence.canonical import object_digest
from evidence.frameworks.model import Framework
from evidence.observe.seen import LOOK_BACK
from evidence.pipeline.software import software_digest
from evidence.probe.standing import LOOK_BACK as PROBED_BEFORE

if TYPE_CHECKING:
    from evidence.store import SnapshotInfo, Store

_START, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_PLACES = frozenset({"source", "changed_by"})  # where a mapping's file lay is no part of what it says


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What every unit of a run is judged by. `baseline` is the one asked for, None for the intent file's own."""

    frameworks: tuple[Framework, ...]
    baseline: str | None = None

    def described(self) -> dict[str, Any]:
        """What goes into every unit's inputs."""
        return {
            "software": {"version": __version__, "digest": software_digest()},
            "frameworks": {each.id: object_digest(_plain(each)) for each in self.frameworks},
            "baseline": self.baseline or "",
        }


@dataclass(frozen=True, slots=True)
class Unit:
    """One month of one cluster: snapshots taken from `start` to before `end` with numbers up to `upto`, so that one that comes in meanwhile
    changes nothing. `newest`: the number of the period's newest snapshot if it is among them; `cluster_uid`: that snapshot's, "" when its
    source did not say."""

    cluster: str
    month: str
    start: datetime
    end: datetime
    upto: int
    newest: int | None
    cluster_uid: str
    inputs: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.cluster} {self.month}"


def units_of(store: "Store", cluster: str, period: tuple[datetime, datetime], rules: Mapping[str, Any]) -> list[Unit]:
    """The months of one cluster that hold a snapshot of the period, in the order of time. `rules`: as the rulebook is described."""
    infos = store.snapshots(cluster, *period)
    if not infos:
        return []
    newest = infos[-1]
    header = store.header(newest.id)
    uid = header.source.cluster_uid if header else ""
    found = []
    for month, group in groupby(infos, key=lambda info: f"{info.taken_at:%Y-%m}"):
        taken = list(group)
        last = newest.id if taken[-1] is newest else None
        found.append(
            Unit(
                cluster=cluster,
                month=month,
                start=taken[0].taken_at,
                end=taken[-1].taken_at + timedelta(microseconds=1),
                upto=max(info.id for info in taken),
                newest=last,
                cluster_uid=uid,
                inputs={
                    "cluster": cluster,
                    "cluster_uid": uid,
                    "month": month,
                    "newest": last is not None,
                    "snapshots": snapshots_described(taken),
                    "records": records_digest(store, cluster, taken),
                    **rules,
                },
            )
        )
    return found


def snapshots_described(infos: "Sequence[SnapshotInfo]") -> dict[str, Any]:
    """The snapshots of a month, oldest first, as they stand in its inputs. A root digest covers the intent file, too."""
    return {
        "count": len(infos),
        "first": infos[0].taken_at.isoformat() if infos else "",
        "last": infos[-1].taken_at.isoformat() if infos else "",
        "intents": sorted({info.intent_digest for info in infos if info.intent_digest}),
        "roots": object_digest([info.root_digest for info in infos]),
    }


def records_digest(store: "Store", cluster: str, infos: "Sequence[SnapshotInfo]") -> str:
    """A digest over what `observations.Records` may look at around these snapshots; "" when nothing was taken in.

    Rather too much than too little: a probe run may speak of any snapshot before it, and a connection of a flow log is laid beside the
    snapshots around the log's whole time.
    """
    from evidence.store import RecordKind

    first, last = infos[0].taken_at, infos[-1].taken_at
    following = store.next_after(cluster, last)
    until = following.taken_at if following else _END
    found = [
        record
        for record in store.records(cluster, first - max(LOOK_BACK, PROBED_BEFORE), _END)
        if record.kind is RecordKind.PROBE_RUN or record.starts_at < until
    ]
    if not found:
        return ""
    logs = [record for record in found if record.kind is RecordKind.FLOW_LOG]
    beside: list[str] = []
    if logs:
        everything = store.snapshots(cluster, _START, _END)
        since, to = min(log.starts_at for log in logs), max(log.ends_at for log in logs)
        before = [info for info in everything if info.taken_at <= since][-1:]
        after = [info for info in everything if info.taken_at >= to][:1]
        within = [info for info in everything if since < info.taken_at < to]
        beside = [info.root_digest for info in (*before, *within, *after)]
    return object_digest(
        {
            "records": [record.digest for record in found],
            "next": following.root_digest if following else "",
            "beside": beside,
        }
    )


def _plain(value: Any) -> Any:
    """A framework as JSON."""
    match value:
        case Enum():
            return value.value
        case frozenset():
            return sorted(_plain(item) for item in value)
        case tuple():
            return [_plain(item) for item in value]
        case _ if is_dataclass(value):
            return {each.name: _plain(getattr(value, each.name)) for each in fields(value) if each.name not in _PLACES}
        case _:
            return value
