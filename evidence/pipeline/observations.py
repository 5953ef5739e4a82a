"""What the store's records say around a snapshot, tied to its computation."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from evidence.canonical import object_digest
from evidence.errors import InputError, StoreError
from evidence.observe.audit import TakenAudit, audit_log_of
from evidence.observe.document import TakenLog, flow_log_of
from evidence.observe.model import Side
from evidence.observe.seen import LOOK_BACK, RECENT, Observations, observe
from evidence.observe.tie import TiedFlow, Ties
from evidence.pipeline.states import assess, reach_of, state_of
from evidence.probe.document import read_run

if TYPE_CHECKING:
    from evidence.frameworks.facts import Agreement
    from evidence.intent.model import Classification
    from evidence.intent.zones import ZoneMap
    from evidence.observe.model import ObservedFlow
    from evidence.pipeline.states import Assessed, State
    from evidence.probe.model import ProbeRun
    from evidence.probe.standing import Standing
    from evidence.reach.engine import Reachability
    from evidence.store import RecordInfo, SnapshotInfo, Store

T = TypeVar("T")

MOST_AROUND = 100  # snapshots around one flow; of a flow over more of them nothing is said

_START, _END = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Told:
    """A record by what it tells of: a stretch of time, both ends included. Sorted by its beginning."""

    start: datetime
    end: datetime
    digest: str


class _ByTime:
    """Records of one kind, found by time."""

    def __init__(self, told: "Iterable[_Told]") -> None:
        self._told = sorted(told, key=lambda each: (each.start, each.end, each.digest))
        self._starts = [each.start for each in self._told]
        self._longest = max((each.end - each.start for each in self._told), default=timedelta(0))

    def between(self, since: datetime, until: datetime | None) -> "list[_Told]":
        """Those that tell of any of the time from `since` to before `until`."""
        last = len(self._told) if until is None else bisect_left(self._starts, until)
        first = bisect_left(self._starts, since - self._longest)
        return [each for each in self._told[first:last] if each.end >= since]


class Records:
    """The records of one cluster, each read once; and the computations of its snapshots, a few of them kept."""

    def __init__(self, store: "Store", cluster: str) -> None:
        self._store = store
        self._cluster = cluster
        self._logs: dict[int, TakenLog] = {}
        self._audits: dict[int, TakenAudit] = {}
        self._probes: dict[int, ProbeRun] = {}
        self._standing: tuple[object, Standing] | None = None
        self._reach: dict[int, Reachability] = {}
        self._ties: tuple[Reachability, Ties] | None = None
        self._last: State | None = None

    @property
    def any(self) -> bool:
        """True when there is any record of the cluster."""
        return bool(self._observed)

    @cached_property
    def _observed(self) -> "Sequence[RecordInfo]":
        return self._store.records(self._cluster, _START, _END)

    def told(self, info: "SnapshotInfo", look_back: timedelta, until: datetime | None) -> str:
        """ "" when no record tells of a snapshot of the store: `around` and `probed` give None. Else a digest (hex) over all that these two hang on
        beside the snapshot's state; rather too much than too little. `until`: the time of the next snapshot."""
        from evidence.probe.standing import LOOK_BACK as PROBED_BEFORE

        taken_at = info.taken_at
        all_logs, all_audits, all_probes = self._by_time
        logs = all_logs.between(taken_at - look_back, until)
        audits = all_audits.between(taken_at - LOOK_BACK, until)
        probes = all_probes.between(taken_at - PROBED_BEFORE, taken_at + timedelta(microseconds=1))
        if not logs and not audits and not probes:
            return ""
        return object_digest(
            {
                "taken_at": taken_at.isoformat(),
                "look_back": str(look_back),
                "until": until.isoformat() if until else "",
                "records": [each.digest for each in (*logs, *audits, *probes)],
                "beside": self._beside(min(e.start for e in logs), max(e.end for e in logs)) if logs else [],
            }
        )

    @cached_property
    def _by_time(self) -> "tuple[_ByTime, _ByTime, _ByTime]":
        """Flow logs and audit logs by their time, probe runs by that of the snapshot that they probed."""
        from evidence.store import RecordKind

        def of(kind: RecordKind) -> "Iterator[RecordInfo]":
            return (record for record in self._observed if record.kind is kind)

        logs, audits = (
            _ByTime(_Told(record.starts_at, record.ends_at, record.digest) for record in of(kind))
            for kind in (RecordKind.FLOW_LOG, RecordKind.AUDIT_LOG)
        )
        probed = [(self._probe(record.id).snapshot_taken_at, record.digest) for record in of(RecordKind.PROBE_RUN)]
        return logs, audits, _ByTime(_Told(at, at, digest) for at, digest in probed)

    def _beside(self, first: datetime, last: datetime) -> list[str]:
        """The snapshots that connections of this time may be laid beside (`_around`), and whether they are still there."""
        times = self._times
        start = max(bisect_right(times, first) - 1, 0)
        end = bisect_right(times, last) + 1
        return [f"{info.root_digest}{' gone' if info.id in self._gone else ''}" for info in self._infos[start:end]]

    @cached_property
    def _times(self) -> "Sequence[datetime]":
        return [info.taken_at for info in self._infos]

    def around(self, state: "State", reach: "Reachability", look_back: timedelta = LOOK_BACK) -> Observations | None:
        """What was seen around a snapshot of the store; None when no record tells anything of that time."""
        from evidence.store import RecordKind

        info = state.info
        assert info is not None  # noqa: S101  (only snapshots of the store are looked at)
        following = self._store.next_after(self._cluster, info.taken_at)
        until = following.taken_at if following else None
        since = info.taken_at - look_back
        found = self._store.records(self._cluster, info.taken_at - LOOK_BACK, until or _END)
        logs = [
            self._log(record.id) for record in found if record.kind is RecordKind.FLOW_LOG and record.ends_at >= since
        ]
        audits = [self._audit(record.id) for record in found if record.kind is RecordKind.AUDIT_LOG]
        if not logs and not audits:
            return None
        if self._ties is None or self._ties[0] is not reach:
            self._ties = reach, Ties(reach)
        return observe(
            self._ties[1],
            logs,
            audits,
            since=since,
            recent_from=info.taken_at - RECENT,
            until=until,
            elsewhere=lambda flow: self._elsewhere(flow, info),
        )

    def probed(self, state: "State", reach: "Reachability", zones: "ZoneMap") -> "Standing | None":
        """What probe runs say of a snapshot of the store; None when there is none of that time."""
        from evidence.pipeline.probes import policies_digest
        from evidence.probe.standing import LOOK_BACK as PROBED_BEFORE
        from evidence.probe.standing import Standing, of_time
        from evidence.store import RecordKind

        info = state.info
        assert info is not None  # noqa: S101  (only snapshots of the store are looked at)
        start = info.taken_at - PROBED_BEFORE
        found = self._store.records(self._cluster, start, _END, RecordKind.PROBE_RUN)
        runs = list(of_time([self._probe(record.id) for record in found], info.taken_at))
        if not runs:
            return None
        policies = policies_digest(state)
        same = (reach, zones, policies, [run.id for run in runs])  # a state like the one before says the same
        if self._standing is None or self._standing[0] != same:
            digests = {self._probes[record.id].id: record.digest for record in found}
            self._standing = same, Standing(runs, reach, zones, state.intent, policies, digests)
        return self._standing[1]

    def audits(self, start: datetime, end: datetime) -> tuple[TakenAudit, ...]:
        """The audit logs that tell of any of the time from `start` to `end`, both included."""
        from evidence.store import RecordKind

        found = self._store.records(self._cluster, start, end + timedelta(microseconds=1), RecordKind.AUDIT_LOG)
        return tuple(self._audit(record.id) for record in found)

    def _probe(self, number: int) -> "ProbeRun":
        if number not in self._probes:
            self._probes[number] = read_run(self._store.read_record(number).document, f"record {number} of the store")
        return self._probes[number]

    def _log(self, number: int) -> TakenLog:
        if number not in self._logs:
            info, log = self._read(number, flow_log_of)
            self._logs[number] = TakenLog(number, info.digest, info.starts_at, info.ends_at, info.taken_in_at, log)
        return self._logs[number]

    def _audit(self, number: int) -> TakenAudit:
        if number not in self._audits:
            info, log = self._read(number, audit_log_of)
            self._audits[number] = TakenAudit(number, info.digest, info.starts_at, info.ends_at, info.taken_in_at, log)
        return self._audits[number]

    def _read(self, number: int, made: "Callable[[Any], T]") -> "tuple[RecordInfo, T]":
        record = self._store.read_record(number)
        try:
            return record.info, made(record.document)
        except InputError as error:
            raise StoreError(f"record {number} in the store {self._store.url}: {error}") from error

    def _elsewhere(self, flow: "ObservedFlow", here: "SnapshotInfo") -> "Iterator[Reachability] | None":
        """Of the snapshots from the last one at or before the flow's first time to the first one at or after its last, but this one."""
        around = [info for info in self._around(flow.first, flow.last) if info.id != here.id]
        if len(around) > MOST_AROUND or any(info.id in self._gone for info in around):
            return None
        return map(self._computed, around)

    def _around(self, first: datetime, last: datetime) -> "list[SnapshotInfo]":
        everything = self._infos
        before = [info for info in everything if info.taken_at <= first][-1:]
        within = [info for info in everything if first < info.taken_at < last]
        after = [info for info in everything if info.taken_at >= last and info not in before][:1]
        return before + within + after

    @cached_property
    def _gone(self) -> frozenset[int]:
        """Numbers of the snapshots that a prune dropped."""
        return frozenset(one.id for one in self._store.retention.pruned(self._cluster, _START, _END))

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
        records = Records(store, state.info.cluster)
        return assess(state, at, observed=records.around, probed=records.probed)


def agreements(assessed: "Assessed") -> "tuple[Agreement, ...]":
    """Denials that were seen and computed, by the zones whose policies denied them. Of logs: the destination's zones, or the source's where
    its side was looked at; none while the logs show a connection that the policies deny. Of probes: zones whose whole border was tried."""
    return (*_logged(assessed), *_probed(assessed))


def _probed(assessed: "Assessed") -> "Iterator[Agreement]":
    """A probe run backs a zone when every closed way across its border was tried and stopped, as far as probes go."""
    from evidence.frameworks.facts import Agreement

    probed = assessed.probed
    if probed is None or not probed.agreements:
        return
    zones = assessed.state.intent.zones if assessed.state.intent else ()
    for classification in sorted({zone.classification for zone in zones}):
        border = probed.border(frozenset({classification}))
        if border.whole:
            runs = " and ".join(f"{run.started_at:%Y-%m-%d %H:%M} UTC" for run in border.runs)
            yield Agreement(f"the probe run of {runs}", border.seen, frozenset({classification}))


def _logged(assessed: "Assessed") -> "tuple[Agreement, ...]":
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


@dataclass(frozen=True, slots=True)
class SeenInPeriod:
    """Logs and audit logs of any time of a period, by record; and their connections, each tied to the snapshot of its time."""

    logs: tuple[TakenLog, ...]
    audits: tuple[TakenAudit, ...]
    logged: tuple[TiedFlow, ...]


def seen_in(
    snapshots: "Sequence[tuple[datetime, Observations | None]]", period: tuple[datetime, datetime]
) -> SeenInPeriod:
    """What the logs around a period's snapshots (their times, oldest first) hold of the period itself."""
    start, end = period
    logs: dict[int, TakenLog] = {}
    audits: dict[int, TakenAudit] = {}
    logged: list[TiedFlow] = []
    for number, (taken_at, observed) in enumerate(snapshots):
        if observed is None:
            continue
        logs |= {taken.record: taken for taken in observed.logs if taken.starts_at < end and taken.ends_at >= start}
        audits |= {taken.record: taken for taken in observed.audits if taken.starts_at < end and taken.ends_at >= start}
        since = start if number == 0 else max(start, taken_at)
        until = snapshots[number + 1][0] if number + 1 < len(snapshots) else end
        logged += [
            tied for tied in observed.flows if since <= max(tied.flow.first, start) < until and tied.flow.last >= start
        ]
    return SeenInPeriod(
        tuple(logs[number] for number in sorted(logs)),
        tuple(audits[number] for number in sorted(audits)),
        tuple(logged),
    )
