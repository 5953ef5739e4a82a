"""What the store's records say around a snapshot, tied to its computation."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from evidence.observe.audit import TakenAudit, audit_log_of
from evidence.observe.document import TakenLog, flow_log_of
from evidence.observe.model import Side
from evidence.observe.seen import LOOK_BACK, RECENT, Observations, observe
from evidence.pipeline.states import assess, reach_of, state_of

if TYPE_CHECKING:
    from evidence.frameworks.facts import Agreement
    from evidence.intent.model import Classification
    from evidence.observe.model import ObservedFlow
    from evidence.pipeline.states import Assessed, State
    from evidence.reach.engine import Reachability
    from evidence.store import SnapshotInfo, Store

MOST_AROUND = 100  # snapshots around one flow; of a flow over more of them nothing is said

_START, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


class Records:
    """The records of one cluster, each read once; and the computations of its snapshots, a few of them kept."""

    def __init__(self, store: "Store", cluster: str) -> None:
        self._store = store
        self._cluster = cluster
        self._logs: dict[int, TakenLog] = {}
        self._audits: dict[int, TakenAudit] = {}
        self._reach: dict[int, Reachability] = {}
        self._last: State | None = None

    def around(self, state: "State", reach: "Reachability") -> Observations | None:
        """What was seen around a snapshot of the store; None when no record tells anything of that time."""
        from evidence.store import RecordKind

        info = state.info
        assert info is not None  # noqa: S101  (only snapshots of the store are looked at)
        following = self._next(info)
        until = following.taken_at if following else None
        found = self._store.records(self._cluster, info.taken_at - LOOK_BACK, until or _END)
        logs = [self._log(record.id) for record in found if record.kind is RecordKind.FLOW_LOG]
        audits = [self._audit(record.id) for record in found if record.kind is RecordKind.AUDIT_LOG]
        if not logs and not audits:
            return None
        return observe(
            reach,
            logs,
            audits,
            recent_from=info.taken_at - RECENT,
            until=until,
            elsewhere=lambda flow: self._elsewhere(flow, info),
        )

    def _log(self, number: int) -> TakenLog:
        if number not in self._logs:
            record = self._store.read_record(number)
            info = record.info
            self._logs[number] = TakenLog(
                number, info.digest, info.starts_at, info.ends_at, info.taken_in_at, flow_log_of(record.document)
            )
        return self._logs[number]

    def _audit(self, number: int) -> TakenAudit:
        if number not in self._audits:
            record = self._store.read_record(number)
            info = record.info
            self._audits[number] = TakenAudit(
                number, info.digest, info.starts_at, info.ends_at, info.taken_in_at, audit_log_of(record.document)
            )
        return self._audits[number]

    def _next(self, info: "SnapshotInfo") -> "SnapshotInfo | None":
        later = self._store.snapshots(self._cluster, info.taken_at, _END)
        return next((found for found in later if found.taken_at > info.taken_at), None)

    def _elsewhere(self, flow: "ObservedFlow", here: "SnapshotInfo") -> "Iterator[Reachability] | None":
        """Of the snapshots from the last one at or before the flow's first time to the first one at or after its last, but this one."""
        around = [info for info in self._around(flow.first, flow.last) if info.id != here.id]
        return map(self._computed, around) if len(around) <= MOST_AROUND else None

    def _around(self, first: datetime, last: datetime) -> "list[SnapshotInfo]":
        everything = self._infos
        before = [info for info in everything if info.taken_at <= first][-1:]
        within = [info for info in everything if first < info.taken_at < last]
        after = [info for info in everything if info.taken_at >= last and info not in before][:1]
        return before + within + after

    @cached_property
    def _infos(self) -> "Sequence[SnapshotInfo]":
        return self._store.snapshots(self._cluster, _START, _END)

    def _computed(self, info: "SnapshotInfo") -> "Reachability":
        if info.id not in self._reach:
            state = state_of(self._store.read(info.id), self._last)
            same = self._last is not None and state.cluster is self._last.cluster
            self._reach[info.id] = next(reversed(self._reach.values())) if same else reach_of(state)[1]
            self._last = state
        return self._reach[info.id]


def assess_stored(state: "State", at: datetime, db: str | None) -> "Assessed":
    """Findings of a state as of `at`, with what the store's logs say around it where it comes from the store."""
    if state.info is None or not db:
        return assess(state, at)
    from evidence.store import Store

    with Store.open(db, read_only=True) as store:
        return assess(state, at, observed=Records(store, state.info.cluster).around)


def agreements(assessed: "Assessed") -> "tuple[Agreement, ...]":
    """Denials that logs show and that were computed, by the zones whose policies denied them: the destination's zones, or the source's where
    its side was looked at. None while the logs show a connection that the policies deny."""
    from evidence.findings.finding import count
    from evidence.frameworks.facts import Agreement

    seen = assessed.observed
    if seen is None or seen.contradictions or not seen.denials:
        return ()
    denied: dict[frozenset[Classification], int] = {}
    for tied in seen.denials:
        pods = tied.source_pods if tied.flow.side is Side.SOURCE else tied.destination_pods
        zones = frozenset(zone.classification for pod in pods for zone in assessed.zones.of_pod(pod.key))
        denied[zones] = denied.get(zones, 0) + tied.flow.count
    source = count(len(seen.logs), "flow log")
    return tuple(
        Agreement(source, number, zones)
        for zones, number in sorted(denied.items(), key=lambda item: sorted(item[0]))
        if zones
    )
